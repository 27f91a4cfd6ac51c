"""The records on the report are figures of the experiments' docstrings, and belong to the run's system and data."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from genjax_models.reports import records
from genjax_models.reports.records import records_of
from genjax_models.runs import directory

FOLDER = Path(__file__).parent.parent.parent / "experiments"
NUMBER = r"-?\d+(?:,\d{3})*(?:\.\d+)?"


def numbers(text):
    return re.findall(NUMBER, text.replace("10^", ""))


@pytest.mark.parametrize("experiment", sorted({name for name, _ in records._RECORDS}))
def test_every_number_of_a_record_stands_in_the_docstring(experiment):
    docstring = ast.get_docstring(ast.parse((FOLDER / f"{experiment}.py").read_text()))
    known = {*numbers(docstring), *numbers(docstring.replace(",", ""))}
    for (name, data), rows in records._RECORDS.items():
        if name == experiment:
            assert data.split(":")[0] in re.sub("[ -]", "_", docstring.lower())
            missing = {number for row in rows for number in numbers(row.figure) if number not in known}
            assert not missing, (data, missing)


def test_the_needs_of_a_record_are_fields_of_its_config():
    for (name, _), rows in records._RECORDS.items():
        config = importlib.import_module(f"experiments.{name}").Config()
        fields = dict(directory.flat(directory.config_as_json("", config)["config"]))
        assert {field for row in rows for field in row.needs} <= {*fields}, name


def test_only_records_of_the_same_system_data_and_likelihood_are_shown():
    config = {"likelihood.family": "bernoulli", "likelihood.binarise": "dynamic", "conditional": "False"}
    settings = [record.settings for record in records_of("experiments.vae", "mnist10k", config.items())]
    assert settings == ["2 latents, 10,000 steps", "--latent 16, 10,000 steps"]
    assert records_of("experiments.vae", "mine.npz", config.items()) == []
    assert records_of("mine.vae", "mnist10k", config.items()) == []
    assert records_of("experiments.vae", "mnist10k", (config | {"likelihood.family": "gaussian"}).items()) == []
