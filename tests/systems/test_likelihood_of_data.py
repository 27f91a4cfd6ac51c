"""The likelihood follows the data, or refuses them: nothing but grey images in [0, 1] becomes binary unasked."""

import dataclasses

import numpy as np
import pytest

from experiments import iwae, vae
from genjax_models.data import from_arrays
from genjax_models.data.description import units_of_density
from genjax_models.errors import InputError
from genjax_models.systems.groups import Likelihood
from tests.experiments.support import refused

N = 30
UNIT = np.random.RandomState(0).rand(N, 6, 5, 3).astype(np.float32)
BYTES = (255 * UNIT).astype(np.uint8)
GREY, COLOUR, VECTORS = BYTES[..., :1], BYTES, BYTES[:, :, 0, 0]
DATA = {
    "grey bytes": from_arrays(GREY),
    "grey floats": from_arrays(UNIT[..., :1]),
    "grey floats in a part of [0, 1]": from_arrays(0.5 * UNIT[..., :1], range=(0, 0.5)),
    "binary images": from_arrays(GREY > 99),
    "binary vectors": from_arrays(UNIT[:, :, :, 0].reshape(N, -1) > 0.5),
    "binary in colour": from_arrays(COLOUR > 99),
    "colour bytes": from_arrays(COLOUR),
    "colour floats": from_arrays(UNIT),
    "vectors of bytes": from_arrays(VECTORS),
    "vectors in [0, 1]": from_arrays(UNIT[:, :, 0, 0]),
    "vectors": from_arrays(8 * UNIT[:, :, 0, 0] - 4, range=(-4, 4)),
    "grey floats in [-1, 1]": from_arrays(2 * UNIT[..., :1] - 1, range=(-1, 1)),
    "grey floats in [0, 255]": from_arrays(255 * UNIT[..., :1], range=(0, 255)),
    "sequences": from_arrays(UNIT[..., 0], kind="sequences"),
    "sequences of bytes": from_arrays(BYTES[..., 0], kind="sequences"),
    "points": from_arrays(8 * UNIT[:, :2, 0, 0] - 4, range=(-4, 4)),
    "two channels": from_arrays(UNIT[..., :2]),
}
LIKELIHOODS = {
    "grey bytes": ("bernoulli", "dynamic"),
    "grey floats": ("bernoulli", "dynamic"),
    "grey floats in a part of [0, 1]": ("bernoulli", "dynamic"),
    "binary images": ("bernoulli", "none"),
    "binary vectors": ("bernoulli", "none"),
    "binary in colour": ("bernoulli", "none"),
    "colour bytes": ("discretised_logistic", "none"),
    "vectors of bytes": ("discretised_logistic", "none"),
    "sequences of bytes": ("discretised_logistic", "none"),
}


@pytest.mark.parametrize("name", DATA)
def test_fault_72_the_likelihood_follows_the_data(name):
    dataset = DATA[name]
    group = Likelihood().for_data(dataset)
    assert (group.family, group.binarise) == LIKELIHOODS.get(name, ("gaussian", "none"))
    prepared = group.prepare(dataset)
    x = np.asarray(prepared.test.x)
    assert set(np.unique(x)) <= {0, 1} if group.family == "bernoulli" else len(np.unique(x)) > 3
    if dataset.kind != "images" and group.family == "gaussian":
        np.testing.assert_array_equal(x, dataset.test.x)  # in their own units


@pytest.mark.parametrize("name", [name for name in DATA if LIKELIHOODS.get(name, ("",))[0] != "bernoulli"])
def test_fault_72_bernoulli_refuses_other_data_unless_asked(name):
    dataset = DATA[name]._replace(name="mine")
    message = r"needs binary data, or grey images in \[0, 1\], got .* from mine\. Use another likelihood \(exp"
    with pytest.raises(InputError, match=message) as error:
        Likelihood("bernoulli").for_data(dataset)
    assert dataset.in_words in str(error.value)
    for binarise in ("dynamic", "fixed", "threshold"):
        for family in ("auto", "bernoulli"):
            asked = Likelihood(family, binarise=binarise).for_data(dataset)
            assert (asked.family, asked.binarise) == ("bernoulli", binarise)
            assert set(np.unique(asked.prepare(dataset).test.x)) <= {0, 1}


def test_fault_72_a_named_likelihood_stays():
    for family in ("gaussian", "bernoulli"):
        assert Likelihood(family).for_data(DATA["grey bytes"]).family == family
    assert Likelihood("gaussian").for_data(DATA["grey bytes"]).binarise == "none"
    with pytest.raises(InputError, match="discretised_logistic needs 8-bit data and binarise none, got vectors"):
        Likelihood("discretised_logistic").for_data(DATA["vectors"])


UNITS = {
    "grey bytes": (-166.2, "30 x ln 255"),
    "vectors of bytes": (-33.2, "6 x ln 255"),
    "grey floats in a part of [0, 1]": (20.8, "30 x ln 2"),
    "grey floats in [-1, 1]": (-20.8, "30 x ln 2"),
    "grey floats in [0, 255]": (-166.2, "30 x ln 255"),
    "colour bytes": (-498.7, "90 x ln 255"),
    "sequences of bytes": (-27.7, "5 x ln 255) per step"),
}


@pytest.mark.parametrize("name", DATA)
def test_the_sentence_on_units_has_the_difference_between_densities_of_stored_and_of_prepared_values(name):
    dataset = DATA[name]
    group = Likelihood("gaussian").for_data(dataset)
    sentence = units_of_density(dataset, group.density_range(dataset))
    added, product = UNITS.get(name, (0.0, ""))

    def log_density(x):
        """Mean log-density per example of a Gaussian with the moments of x."""
        return -np.prod(x.shape[1:]) * (np.log(np.std(x)) + 0.5 * np.log(2 * np.pi * np.e))

    difference = log_density(dataset.test.x) - log_density(np.asarray(group.prepare(dataset).test.x))
    assert difference / (dataset.shape[0] if "sequences" in name else 1) == pytest.approx(added, abs=0.06)
    verb = "add" if added > 0 else "subtract"
    assert f": {verb} {abs(added)} nats ({product}" in sentence if added else sentence == ""


def test_probabilities_have_no_units():
    for name in ("grey bytes", "colour bytes", "vectors of bytes"):
        assert Likelihood().for_data(DATA[name]).density_range(DATA[name]) is None
    assert Likelihood("gaussian", binarise="dynamic").density_range(DATA["grey bytes"]) is None


def test_fault_72_a_likelihood_without_data_is_refused():
    with pytest.raises(InputError, match=r"likelihood auto needs the data: call config\.load\(\)"):
        vae.build(vae.Config())


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("real.npz", x=8 * UNIT[:, :, 0, 0] - 4)
    np.savez("real_images.npz", x=16 * np.random.RandomState(1).rand(N, 8, 8, 1))
    np.savez("colour.npz", x=COLOUR, y=np.arange(N) % 3)
    np.savez("series.npz", x=UNIT[..., 0])


REAL = ("--data", "real.npz", "--data-range", "-4", "4")


@pytest.mark.parametrize(
    ("experiment", "flags"),
    [
        (vae, (*REAL, "--likelihood", "bernoulli")),
        (vae, ("--data", "colour.npz", "--likelihood", "bernoulli")),
        (iwae, REAL),
        (iwae, ("--data", "colour.npz")),
    ],
)
def test_fault_72_training_refuses_them_in_one_line(experiment, flags, here, capsys):
    refused(experiment.EXPERIMENT, [*flags, "--dry-run"], ["Bernoulli", "--binarise dynamic"], capsys)


def test_fault_80_training_asks_for_the_kind(here, capsys):
    refused(vae.EXPERIMENT, ["--data", "series.npz", "--dry-run"], ["or sequences", "--data-kind images"], capsys)


@pytest.mark.parametrize(
    ("flags", "lines"),
    [
        (
            REAL,
            [
                "kind        vectors of 6 numbers, float32 in [-4, 4]",
                "likelihood  gaussian",
                "binarise    none, values",
            ],
        ),
        (
            ("--data", "real_images.npz", "--data-range", "0", "16"),
            ["units       values [0, 16] are scaled to [0, 1]; densities are of scaled values: subtract 177.4 nats"],
        ),
        (
            ("--data", "colour.npz"),
            [
                "kind        colour images of 6 x 5, uint8 in [0, 255]",
                "classes     3, with training examples: 0 (8), 1 (8), 2 (8)",
                "likelihood  discretised_logistic",
                "source      the file colour.npz; shuffled by RandomState(0)",
            ],
        ),
        (
            ("--data-kind", "sequences", "--data", "series.npz"),
            ["kind        sequences of at most 6 steps of 5"],
        ),
    ],
)
def test_fault_72_fault_80_a_dry_run_states_likelihood_binarisation_kind_and_classes(flags, lines, here, capsys):
    from genjax_models.commands.train import main

    assert main(vae.EXPERIMENT, [*flags, "--batch-size", "10", "--hidden", "4", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert [line for line in lines if line not in printed] == []
    assert ("\nunits " in printed) == any(line.startswith("units ") for line in lines)


def test_the_stored_config_names_what_was_used(here):
    config, _ = dataclasses.replace(vae.Config(), data=vae.Data("colour.npz")).load()
    assert (config.likelihood.family, config.likelihood.binarise) == ("discretised_logistic", "none")
    assert config.load()[0] == config
