"""Flax modules: the layers of encoders, generators, discriminators and a classifier, without their training."""

from genjax_models.networks.attention import SelfAttention
from genjax_models.networks.biggan import BigGANDiscriminator, BigGANGenerator
from genjax_models.networks.convolution import Convolution, TransposedConvolution
from genjax_models.networks.convolutional import ConvolutionalEncoder, ConvolutionalGenerator
from genjax_models.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genjax_models.networks.discriminators import MLPDiscriminator
from genjax_models.networks.masked import MADE, MaskedDense
from genjax_models.networks.mlp import MLPEncoder, MLPGenerator
from genjax_models.networks.normalisation import ConditionalBatchNorm
from genjax_models.networks.outputs import Output
from genjax_models.networks.pair import EncoderGenerator, Layers
from genjax_models.networks.pixel_cnn import GatedPixelCNN
from genjax_models.networks.projection import Projection
from genjax_models.networks.refining import RefiningGenerator
from genjax_models.networks.residual import DownBlock, UpBlock
from genjax_models.networks.spectral_normalisation import SpectralNormalisation
from genjax_models.networks.supervised import MeanOfGenerators, SupervisedGenerator
from genjax_models.networks.translation import TranslatingGenerator
from genjax_models.networks.turned import Camera, Pose, TurnedGenerator
from genjax_models.networks.upsampling import Upsampled, unpool

__all__ = [
    "MADE",
    "BigGANDiscriminator",
    "BigGANGenerator",
    "Camera",
    "ConditionalBatchNorm",
    "Convolution",
    "ConvolutionalEncoder",
    "ConvolutionalGenerator",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DownBlock",
    "EncoderGenerator",
    "GatedPixelCNN",
    "Layers",
    "MLPDiscriminator",
    "MLPEncoder",
    "MLPGenerator",
    "MaskedDense",
    "MeanOfGenerators",
    "Output",
    "Pose",
    "Projection",
    "RefiningGenerator",
    "SelfAttention",
    "SpectralNormalisation",
    "SupervisedGenerator",
    "TranslatingGenerator",
    "TransposedConvolution",
    "TurnedGenerator",
    "UpBlock",
    "Upsampled",
    "unpool",
]
