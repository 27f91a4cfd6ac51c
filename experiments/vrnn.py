"""Sequential latent-variable models, learned by filtering bounds: Chung et al., 2015; Maddison et al., 2017.

python -m experiments.vrnn --data chorales --bound fivo --particles 4 --steps 1500 --evaluate-every 150
python -m experiments.vrnn --data chorales --bound elbo --kl-warmup 500 --particles 4 --steps 1500 --evaluate-every 150

nats per step of the 38 test pieces, by three bounds with as many particles; KL in nats per piece; the last two columns
are effective particles. Means over three seeds, whose bounds differ by 0.34 at most. Effective particles are of one to
three of these. The standard error over pieces is 0.11 to 0.17.

trained by                            ELBO     IWAE     FIVO      KL    of IWAE    of FIVO
elbo                                 -8.56    -8.55    -8.55     0.01        3.4        3.5
elbo --particles 8                   -8.55    -8.54    -8.54     0.01        6.6        6.8
elbo --particles 16                  -8.55    -8.55    -8.55     0.01       13.1       13.4
elbo --kl-warmup 500                 -7.38    -7.27    -7.14   135          1.5        2.6
iwae                                 -8.55    -8.52    -8.51     0.05        2.2        3.1
iwae --particles 8                   -8.60    -8.55    -8.53     0.08        3.1        5.7
iwae --particles 16                  -8.60    -8.51    -8.47     0.07        3.8       10.5
fivo                                 -8.14    -7.91    -7.53    48.0        1.3        2.3
fivo --particles 8                   -8.87    -8.31    -7.22    49.5        1.3        3.4
fivo --particles 16                  -9.54    -8.63    -6.98    68.0        1.4        5.0
elbo as above, --model dmm           -7.95    -7.82    -7.81   154          1.4        2.0
elbo as above, --model srnn          -8.52    -8.52    -8.52     0.04       3.2        3.3

Without a warm-up, training by ELBO or IWAE leaves z unused. With it, the ELBO is ahead of FIVO, whose z is used from
the start; a stochastic RNN leaves z unused even so. With 8 and 16 particles FIVO gains 0.30 and 0.55 by its own bound,
and loses 0.73 and 1.40 of the ELBO: the model leans on resampling. Independent notes: -11.29; each note given itself a
step before: -10.58. 1,500 steps in 1 to 4 minutes of processor time per seed, and 6 with 16 particles, AMD EPYC (jax
0.10.2, CPU), 2026-11-29. Two test pieces are in training too, under another number. pictures/chorales.png,
chorales_draws.png and chorales_by_step.png are of runs by fivo. Rows with 4 particles of fivo and of elbo --kl-warmup
500 have seeds 1 and 2, and rows with more particles of elbo and iwae all seeds, of 2 cores of an AMD EPYC with AVX-512,
2026-11-30.

Speech (--data japanese_vowels --hidden 32 --latent 12 --learning-rate 5e-3 --weight-decay 0.1 --steps 4000
--evaluate-every 200 --particles 4), nats per step of 370 test utterances, with a standard error of 0.19 to 0.28. Means
over three seeds; the last two columns are effective particles. Bounds of the seeds differ by 0.36 at most with 4
particles, by 0.68 with more, by 1.69 with --model dmm and by 0.48 with --model srnn:

trained by                 ELBO     IWAE     FIVO      KL      of IWAE    of FIVO
elbo --kl-warmup 500       1.81     1.96     2.03    28.4          1.9        2.6
iwae                       0.79     0.95     1.01     1.4          2.3        2.9
fivo                       0.69     1.16     1.47     6.8          1.7        2.4
fivo --particles 8        -0.22     1.04     1.99    13.1          1.6        3.2
fivo --particles 16       -1.70     0.63     2.43    23.3          1.6        4.2
elbo as above, --model dmm -3.66    -3.27    -3.03    76.0          1.4        1.9
elbo as above, --model srnn 1.41     1.47     1.48     3.4          2.6        3.1

With more particles the model leans on resampling, and a single particle explains less. A stochastic RNN uses z in one
of three seeds only (KL 9.8, 0.35 and 0.13). Noise has -14.01, a linear model of the step before 1.59. With 64 hidden
units the model overfits 243 utterances. Half a minute to one and a half of processor time for each seed.

Digits, a row a step (--data mnist10k_rows --latent 16 --hidden 128 --batch-size 100 --steps 3000 --particles 4), nats
per image of 1,000 test images, with a standard error of 0.71 to 0.73, seed 0:

trained by        ELBO      IWAE      FIVO      KL      of IWAE    of FIVO
elbo            -88.08    -87.04    -86.85    19.3          2.6        3.1
iwae            -89.12    -87.38    -86.85    19.2          2.3        3.0
fivo            -89.70    -87.21    -86.36    20.8          2.2        3.0

The best is -86.36 +- 0.71. Paired over images, a difference between two trainings has a standard error of 0.09 to
0.11. Of these runs, elbo is best by ELBO, by 1.03 and 1.61, and fivo is best by FIVO, by 0.48 and 0.49. By IWAE, elbo
is ahead of iwae by 0.34, and of fivo by 0.16, which is 1.4 errors. 6 minutes of processor time each; all were still
improving. With --bound elbo --particles 1 the bound is -88.59 +- 0.73, KL 18.5, in 7 minutes next to other work. The
VAE has -101.08 +- 0.99: it does not see x_<t.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Literal

import genjax_models as gx
from genjax_models.commands.train import main
from genjax_models.errors import InputError
from genjax_models.runs.configuration import Training, whole
from genjax_models.runs.protocol import Experiment, Metric, System
from genjax_models.systems.groups import Optimizer, SequenceLikelihood, warmed_up
from genjax_models.systems.settings import SequenceData, Settings


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Train a model of sequences and report three bounds on the likelihood of held-out sequences."""

    model: Literal["vrnn", "dmm", "srnn"] = "vrnn"
    """A variational RNN (Chung et al., 2015), a deep Markov model (Krishnan et al., 2017), or a stochastic RNN
    (Fraccaro et al., 2016). The posteriors of the last two read each sequence to its end."""
    bound: Literal["elbo", "iwae", "fivo"] = "fivo"
    """Bound that is raised."""
    particles: int = 4
    """Particles per sequence; of bound elbo, draws that are averaged. The test split is judged with as many."""
    resampling: Literal["multinomial", "stratified", "systematic"] = "multinomial"
    """How bound fivo draws ancestors in training."""
    score: bool = False
    """Add the score of the ancestors to the gradient of fivo, which is then unbiased but noisy."""
    kl_warmup: int = 0
    """Steps in which the weight of the KL rises linearly from 0. Only bound elbo has such a weight."""
    latent: int = 32
    """Dimensions of each z_t."""
    hidden: int = 64
    """Units of the recurrent network, and width of the other layers."""
    data: SequenceData = SequenceData()
    likelihood: SequenceLikelihood = SequenceLikelihood(scale="diagonal")
    training: Training = Training(batch_size=16)
    optimizer: Optimizer = Optimizer(learning_rate=2e-3, schedule="cosine", warmup=100, clip=10.0)

    def __post_init__(self):
        super().__post_init__()
        whole(1, particles=self.particles, latent=self.latent, hidden=self.hidden)
        whole(0, kl_warmup=self.kl_warmup)
        if self.kl_warmup and self.bound != "elbo":
            raise InputError(f"kl_warmup needs bound elbo, got {self.bound}: other bounds have no separate KL")


def build(config: Config) -> System:
    """Returns the model of the config, with z_t and x_t of each step given all before."""
    from genjax_models.systems.sequential import sequential_system

    steps, *shape = config.data.shape
    maker = {"vrnn": gx.variational_rnn, "dmm": gx.deep_markov_model, "srnn": gx.stochastic_rnn}[config.model]
    likelihood = config.likelihood.build(tuple(shape))
    model = maker(likelihood, steps=steps, latent=config.latent, hidden=config.hidden)
    if config.likelihood.family == "bernoulli":
        model = gx.starting_at_data_mean(model)
    options = {"bound": config.bound, "num_particles": config.particles}
    if config.bound == "elbo":
        options["kl_weight"] = warmed_up(1.0, config.kl_warmup)
    if config.bound == "fivo":
        options |= {"resampling": config.resampling, "score": config.score}
    return sequential_system(config, gx.sequential_vae(model, **options), model)


EXPERIMENT = Experiment(
    title="A model of sequences",
    config=Config,
    build=build,
    metric=Metric("bound", "nats", higher_is_better=True),
    caption="draws from p(x)",
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
