"""Figures that the docstrings of the experiments report, for the reader of a run of the same system and data."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Record(NamedTuple):
    """A figure of the test split, with the settings that it belongs to; `needs` are config fields that must agree."""

    settings: str
    figure: str
    needs: Mapping[str, str] = {}


_BINARY = {"likelihood.family": "bernoulli"}
_BITS = {**_BINARY, "likelihood.binarise": "dynamic"}

# Experiment and data -> records. `tests/reports/test_records.py` finds each number in the experiment's docstring.
_RECORDS: Mapping[tuple[str, str], tuple[Record, ...]] = {
    ("autoencoder", "mnist10k"): (Record("5,000 steps", "squared error 11.39 ± 0.19"),),
    ("biggan", "mnist10k"): (
        Record("6,500 steps", "Frechet distance 14.3 ± 1.6, class accuracy 94.6%"),
        Record("10,500 steps", "Frechet distance 9.4 ± 1.4, class accuracy 96.2%"),
    ),
    ("chairs", "chairs"): (
        Record("20,000 steps", "squared error of transfer 0.00188 ± 0.00008", {"view": "both"}),
        Record("22,000 steps", "squared error of transfer 0.00314 ± 0.00016", {"view": "joined"}),
    ),
    ("classifier", "mnist10k"): (Record("4,000 steps", "accuracy 0.9890 ± 0.0033"),),
    ("classifier", "fashion_mnist"): (
        Record("--flip --shift 1 --dropout 0.3, 4,000 steps", "accuracy 0.8963 ± 0.0030"),
    ),
    ("conditional_gan", "mnist10k"): (
        Record("4,000 steps", "Frechet distance 5.7 ± 1.1, class accuracy 96.8%, coverage 0.87 ± 0.03"),
    ),
    ("dcgan", "mnist10k"): (
        Record(
            "--penalty r1, 16 latents, 18,000 steps",
            "Frechet distance 16.5 ± 1.8, kernel distance 1.12 ± 0.27",
            {"conditional": "False"},
        ),
        Record("7,000 steps", "Frechet distance 52.3 ± 3.7, kernel distance 4.3 ± 0.5", {"conditional": "False"}),
    ),
    ("dcgan", "fashion_mnist"): (
        Record("4,000 steps", "Frechet distance 24.6 ± 0.5, kernel distance 0.92 ± 0.04", {"conditional": "False"}),
    ),
    ("disentanglement", "sprites:32"): (
        Record("--objective beta_vae, 6,000 steps, median of five seeds", "bound -29.5 nats, MIG 0.04", _BINARY),
        Record("--objective factor_vae, the same", "bound -28.1 nats, MIG 0.04", _BINARY),
        Record("--objective beta_tcvae, the same", "bound -27.9 nats, MIG 0.04", _BINARY),
        Record("--objective dip_vae_i, the same", "bound -29.3 nats, MIG 0.03", _BINARY),
        Record("--objective dip_vae_ii, the same", "bound -25.6 nats, MIG 0.02", _BINARY),
    ),
    ("draw", "mnist10k"): (
        Record("--hidden 256, 12,000 steps", "bound -97.85 ± 0.91 nats", _BITS),
        Record("10,000 steps", "bound -103.93 ± 0.99 nats", _BITS),
        Record("--no-attention, 10,000 steps", "bound -98.47 ± 0.89 nats", _BITS),
    ),
    ("faces", "faces"): (Record("10,000 steps", "bound 759.6 ± 0.6 nats", {"likelihood.scale": "0.1"}),),
    ("gan_mixture", "ring8"): (
        Record("--loss non_saturating, seeds 0, 1 and 2", "modes covered: 3, 4, 6 of 8"),
        Record("--penalty r1 --penalty-weight 0.1 --average 0.99, three seeds", "modes covered: 8, 8, 8 of 8"),
    ),
    ("gan_mixture", "grid25"): (
        Record("--loss non_saturating, seeds 0, 1 and 2", "modes covered: 11, 12, 10 of 25"),
        Record("--penalty r1 --penalty-weight 0.1 --average 0.99, three seeds", "modes covered: 25, 25, 21 of 25"),
    ),
    ("gmmn", "mnist10k"): (Record("3,000 steps", "squared MMD 0.0063 ± 0.0009, kernel distance 5.4 ± 0.5"),),
    ("gmmn", "fashion_mnist"): (Record("3,000 steps", "squared MMD 0.0038 ± 0.0002, kernel distance 0.64 ± 0.03"),),
    ("gmmn_autoencoder", "mnist10k"): (
        Record("4,000 steps", "squared MMD of pixels 0.097 ± 0.006, kernel distance 7.0 ± 0.5"),
    ),
    ("gmmn_autoencoder", "fashion_mnist"): (
        Record("4,000 steps", "squared MMD of pixels 0.042 ± 0.001, kernel distance 0.86 ± 0.03"),
    ),
    ("infinite_mixture", "spiral"): (
        Record("from the prior, 10,000 steps", "log-likelihood -1.679 ± 0.019 nats (the truth has -1.671)"),
        Record("--fit vae, 60,000 steps", "log-likelihood -1.769 ± 0.016 nats"),
        Record("--fit finite_mixture, 10,000 steps", "log-likelihood -1.940 ± 0.020 nats"),
    ),
    ("info_vae", "mnist10k"): (Record("10,000 steps", "criterion -88.31 ± 1.21 nats", _BITS),),
    ("iwae", "mnist10k"): (
        Record("1 layer, k = 1, seed 0", "NLL(5000) 98.09 nats", {"binarise": "dynamic"}),
        Record("1 layer, k = 5, seed 0", "NLL(5000) 96.56 nats", {"binarise": "dynamic"}),
        Record("1 layer, k = 50, seed 0", "NLL(5000) 95.73 nats", {"binarise": "dynamic"}),
        Record("--layers 2, k = 50, seed 0", "NLL(5000) 95.28 nats", {"binarise": "dynamic"}),
    ),
    ("iwae", "fashion_mnist"): (
        Record(
            "--latent 100 40 --batch-size 100, k = 5, 50,000 steps",
            "NLL(5000) 234.59 ± 0.76 nats",
            {"binarise": "dynamic"},
        ),
    ),
    ("lapgan", "mnist10k"): (
        Record("10,000 steps", "Frechet distance 34.6 ± 2.6, kernel distance 3.9 ± 0.4", {"conditional": "True"}),
    ),
    ("made", "mnist10k"): (
        Record("10,000 steps", "log-likelihood -100.61 ± 0.94 nats", _BITS),
        Record("--dropout 0, 10,000 steps", "log-likelihood -97.61 ± 0.93 nats", _BITS),
    ),
    ("multi_prediction", "mnist10k"): (
        Record("--hidden 500 1000, 10,000 steps", "0.109 nats per missing pixel, class accuracy 96.0 ± 0.6%"),
    ),
    ("one_generator_four_objectives", "mnist10k"): (
        Record("--objective vae, 5,000 steps", "kernel distance 8.8 ± 0.6, Frechet distance 100 ± 5"),
        Record("--objective iwae, 5,000 steps", "kernel distance 7.9 ± 0.6, Frechet distance 84 ± 4"),
        Record("--objective gan, 5,000 steps", "kernel distance 4.8 ± 0.5, Frechet distance 53 ± 3"),
        Record("--objective gmmn, 5,000 steps", "kernel distance 7.2 ± 0.5, Frechet distance 85 ± 4"),
    ),
    ("pixel_cnn", "mnist10k"): (Record("2,000 steps", "log-likelihood -95.42 ± 0.69 nats", _BITS),),
    ("pixel_vae", "mnist10k"): (Record("3,000 steps", "bound -86.09 ± 0.68 nats, KL 7.65 ± 0.04", _BITS),),
    ("rbm", "mnist10k"): (
        Record("--hidden 500, 80,000 steps", "log-likelihood -88.95 ± 0.80 nats", {"bits.binarise": "dynamic"}),
        Record("--hidden 500, 12,000 steps", "log-likelihood -94.81 ± 0.84 nats", {"bits.binarise": "dynamic"}),
    ),
    ("rbm", "bars_and_stripes"): (
        Record("--hidden 24, 10,000 steps", "log-likelihood -3.48 nats (the data have -3.40)"),
    ),
    ("rivers", "rivers:32"): (
        Record("--kl-weight 4, 2,500 steps, eight seeds", "R² of grass 0.20 to 0.94, MIG of grass 0.02 to 0.40"),
        Record("--kl-weight 40, 2,500 steps, eight seeds", "R² of grass 0.96 to 0.97, MIG of grass 0.48 to 0.57"),
    ),
    ("self_supervised_boosting", "bars_and_stripes"): (Record("24 stages", "KL(data || model) 0.29 nats"),),
    ("self_supervised_boosting", "mnist10k"): (
        Record("--features 60, 6,000 steps", "log-likelihood -187.9 ± 1.7 nats", {"bits.binarise": "dynamic"}),
    ),
    ("vae", "mnist10k"): (
        Record("2 latents, 10,000 steps", "bound -141.02 ± 1.75 nats", _BITS | {"conditional": "False"}),
        Record(
            "--latent 16, 10,000 steps",
            "bound -101.08 ± 0.99 nats, 14 of 16 dimensions used",
            _BITS | {"conditional": "False"},
        ),
    ),
    ("vae", "fashion_mnist"): (
        Record(
            "--latent 16, 10,000 steps",
            "bound -236.19 ± 0.77 nats, 9 of 16 dimensions used",
            _BITS | {"conditional": "False"},
        ),
    ),
    ("vrnn", "chorales"): (
        Record("--bound fivo --particles 4, 1,500 steps, three seeds", "FIVO -7.53 nats per step, ELBO -8.14", _BINARY),
        Record("--bound elbo --kl-warmup 500, the same", "FIVO -7.14 nats per step, ELBO -7.38", _BINARY),
    ),
    ("vrnn", "mnist10k_rows"): (
        Record("--bound elbo --particles 1, 3,000 steps", "bound -88.59 ± 0.73 nats per image", _BITS),
        Record("--bound fivo --particles 4, 3,000 steps", "FIVO -86.36 ± 0.71 nats per image", _BITS),
    ),
}


def records_of(experiment: str, data: str, config: Iterable[tuple[str, str]]) -> list[Record]:
    """Returns the records of this system and data that compare with a run.

    Args:
      experiment: dotted name of the module.
      data: name of the data set.
      config: rows of the run's config: dotted name and text.
    """
    package, _, name = experiment.rpartition(".")
    fields = dict(config)
    records = _RECORDS.get((name, data), ()) if package == "experiments" else ()
    return [record for record in records if all(fields.get(field) == text for field, text in record.needs.items())]
