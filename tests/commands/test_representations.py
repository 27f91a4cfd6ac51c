"""`representations` scores posterior means, principal components and pixels."""

import json

import pytest

from genjax_models.commands import representations
from tests.commands.conftest import NO_POSTERIOR


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["conditional", "two layers"])
def test_accuracies_are_printed_and_written(kind, runs, capsys):
    run = runs[kind].path
    assert representations.main([str(run), "--neighbours", "3"]) == 0
    results = json.loads((run / "representations.json").read_text())
    assert len(results) == 3
    assert max(value for probes in results.values() for value, _ in probes.values()) == 1  # pixels separate the classes
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["accuracy", "on", "test", "data", "linear", "probe", "nearest", "neighbours"]
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("vectors", "", "{run}: the probes need a label per example, and {data} has no labels"),
        ("autoencoder", "", NO_POSTERIOR),
        ("conditional", "--neighbours 10000", "`neighbours` must be 1 to 48 training examples, got 10000"),
        ("vae", "--neighbours 0", "neighbours must be an integer of at least 1, got 0 (see --help)"),
    ],
)
def test_bad_input_is_one_line(kind, arguments, message, runs, refused, monkeypatch):
    monkeypatch.setattr("genjax_models.commands.encoders.posterior_means", pytest.fail)  # refused before it is computed
    run = runs[kind]
    expected = message.format(run=run.path, data=run.config.data.name)
    assert refused(representations, run.path, *arguments.split()) == expected
