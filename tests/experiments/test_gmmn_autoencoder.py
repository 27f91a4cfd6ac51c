"""A whole small run of the GMMN on codes: stopped in either stage and resumed, it is the run that was not."""

import json
import os
import signal

import chex
import jax
import numpy as np
import pytest

import genjax_models as gx
from experiments import gmmn_autoencoder
from genjax_models.commands.train import main
from genjax_models.errors import InputError
from genjax_models.runs import feed, fit
from genjax_models.runs.configuration import Training

OPTIONS = (
    "--hidden 16 --latent 3 --code 4 --autoencoder-hidden 16 --batch-size 20 --learning-rate 0.01 --log-every 4"
    " --autoencoder-steps 7 --steps 15 --evaluate-every 5 --kernel-variances 0.5 2 8"
)


@pytest.fixture(scope="module")
def arguments(files):
    return ["--data", str(files / "images.npz"), *OPTIONS.split()]


@pytest.fixture(scope="module")
def run(arguments, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gmmn_autoencoder") / "run"
    assert main(gmmn_autoencoder.EXPERIMENT, [*arguments, "--run-dir", str(folder)]) == 0
    return folder


def state_of(run):
    state = gx.load_run(run, "last").state
    return state._replace(key=jax.random.key_data(state.key))


@pytest.mark.slow
def test_each_player_learns_in_its_stage(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    loss = {row["step"]: (row["autoencoder/loss"], row["generator/loss"]) for row in rows if row["split"] == "train"}
    assert list(loss) == [4, 8, 12, 15]
    assert loss[4][0] > 0 == loss[4][1]
    assert loss[12][0] == 0 < loss[12][1]
    error = {row["step"]: row["squared_error"] for row in rows if row["split"] == "validation"}
    assert error[5] < error[0]
    assert error[10] == error[15]  # from step 7 on it is frozen


@pytest.mark.slow
def test_samples_of_a_loaded_run_are_decoded(run):
    loaded = gx.load_run(run)
    samples = np.asarray(loaded.objective.sample(loaded.players, jax.random.key(0), 3))
    assert samples.shape == (3, 8, 8, 1)
    assert samples.min() >= 0
    assert samples.max() <= 1


def stopping(timed_chunk, first):
    """`timed_chunk`, after which SIGTERM arrives where it has made the step `first`."""

    def wrapped(*args):
        state, metrics = timed_chunk(*args)
        if int(state.step) >= first:
            os.kill(os.getpid(), signal.SIGTERM)
        return state, metrics

    return wrapped


@pytest.mark.slow
def test_fault_39_fault_41_stopped_in_either_stage_it_is_the_same_run(run, arguments, tmp_path, monkeypatch, capsys):
    """The border between the stages is after 7 steps."""
    stopped, timed_chunk = tmp_path / "run", fit._timed_chunk
    monkeypatch.setattr(feed, "LONGEST_CHUNK", 3)
    for first, last, command in (
        (2, 6, [*arguments, "--run-dir", str(stopped)]),
        (9, 14, ["--resume", str(stopped)]),
    ):
        monkeypatch.setattr(fit, "_timed_chunk", stopping(timed_chunk, first))
        with pytest.raises(SystemExit, match="143"):
            main(gmmn_autoencoder.EXPERIMENT, command)
        assert "and saved; resume with" in capsys.readouterr().err
        assert first <= int(state_of(stopped).step) <= last
    monkeypatch.setattr(fit, "_timed_chunk", timed_chunk)
    assert main(gmmn_autoencoder.EXPERIMENT, ["--resume", str(stopped)]) == 0
    assert (stopped / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()
    chex.assert_trees_all_equal(state_of(stopped), state_of(run))
    results = [json.loads((folder / "result.json").read_text())["test"] for folder in (stopped, run)]
    assert results[0] == results[1]


@pytest.mark.slow
def test_flags_of_a_resumed_run_change_its_own_config_not_the_defaults(run, capsys):
    """15 steps are too few for the default `autoencoder_steps`, and enough for the run's own 7."""
    assert main(gmmn_autoencoder.EXPERIMENT, ["--resume", str(run), "--steps", "15", "--dry-run"]) == 0
    with pytest.raises(SystemExit, match="2"):
        main(gmmn_autoencoder.EXPERIMENT, ["--resume", str(run), "--steps", "6", "--dry-run"])
    assert "steps must be more than the autoencoder_steps 7" in capsys.readouterr().err


def test_two_stages_need_steps_for_both():
    for fields, message in [
        ({"autoencoder_steps": 0}, "autoencoder_steps must be an integer of at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"code_variances": (0.0,)}, "kernel_variances must be positive and finite, got 0.0"),
        ({"code": 0}, "code must be an integer of at least 1, got 0"),
    ]:
        with pytest.raises(InputError, match=message):
            gmmn_autoencoder.Config(**fields)
    assert gmmn_autoencoder.Config(training=Training(0)).training.steps == 0
