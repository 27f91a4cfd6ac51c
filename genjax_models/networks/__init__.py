"""Flax modules: what a layer is, not how it is trained."""

from genjax_models.networks.convolutional import ConvolutionalEncoder, ConvolutionalGenerator
from genjax_models.networks.discriminators import MLPDiscriminator
from genjax_models.networks.mlp import MLPEncoder, MLPGenerator
from genjax_models.networks.outputs import Output
from genjax_models.networks.pair import EncoderGenerator, Layers

__all__ = [
    "ConvolutionalEncoder",
    "ConvolutionalGenerator",
    "EncoderGenerator",
    "Layers",
    "MLPDiscriminator",
    "MLPEncoder",
    "MLPGenerator",
    "Output",
]
