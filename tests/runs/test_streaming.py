"""A run whose training data are on disk is a run like any other: reproducible, stopped and resumed bit for bit."""

import contextlib
import signal

import jax
import numpy as np
import optax
import pytest
from PIL import Image

from experiments import vae
from genjax_models.commands.train import main
from genjax_models.data import load, prepare
from genjax_models.data.records import Records
from genjax_models.data.streaming import Stream
from genjax_models.errors import InputError, NonFiniteError, StoppedError
from genjax_models.runs import checkpoints, feed, fit
from genjax_models.runs.configuration import Training
from genjax_models.runs.dry_run import dry_run
from genjax_models.systems.settings import Data
from genjax_models.training import data_mesh, trainer
from genjax_models.types import Aux, Objective
from tests.runs.interrupted import at
from tests.runs.test_resume import assert_same_run

pytest.importorskip("grain")

STEPS = 13


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """60 images of 6 x 6; nothing is written to the user's own cache."""
    folder = tmp_path_factory.mktemp("images")
    for i, x in enumerate(np.random.RandomState(0).randint(0, 256, (60, 6, 6)).astype(np.uint8)):
        Image.fromarray(x).save(folder / f"{i:02}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("xdg")))
        yield folder


@pytest.fixture(scope="module")
def base_flags(images):
    """Arguments of a short streamed run: 4 batches an epoch; evaluations at 0, 5, 10, 13; rows every 4 steps."""
    return [
        *("--data", f"images:{images}", "--image-size", "6", "--stream", "--hidden", "8", "--batch-size", "12"),
        *("--steps", str(STEPS), "--evaluate-every", "5", "--log-every", "4", "--schedule", "constant"),
    ]


@pytest.mark.slow
def test_fault_39_stopped_by_a_signal_and_resumed_it_is_the_same_run(base_flags, tmp_path, monkeypatch):
    whole, run = tmp_path / "whole", tmp_path / "run"
    monkeypatch.setattr(feed, "LONGEST_CHUNK", 3)
    assert main(vae.EXPERIMENT, [*base_flags, "--run-dir", str(whole)]) == 0
    with monkeypatch.context() as patched:
        patched.setattr(fit, "_timed_chunk", at(2, fit._timed_chunk, signal.SIGTERM, before=False))
        with pytest.raises(SystemExit, match="143"):
            main(vae.EXPERIMENT, [*base_flags, "--run-dir", str(run)])
    position = lambda: checkpoints.read_manifest(max((run / "checkpoints").glob("????????")))["about"]["position"]
    assert position()["next_index"] == 2  # one step to set the pace, and one that was planned before it was known
    assert main(vae.EXPERIMENT, ["--resume", str(run)]) == 0
    assert_same_run(run, whole)
    assert position()["next_index"] == STEPS


def recorder(rows, fails_at=None):
    """A game whose one number sums what it sees, times the step, so that order counts; it keeps what batches it saw."""

    def loss(players, key, batch, step):
        jax.debug.callback(lambda step, x: rows.append((int(step), np.asarray(x))), step, batch.x, ordered=False)
        value = (batch.x.astype(float).mean() + 1) * (step + 1)
        value = value if fails_at is None else jax.numpy.where(step == fails_at, jax.numpy.nan, value)
        return players["sum"]["params"]["at"] * value, Aux()

    return Objective(
        init=lambda key, batch: {"sum": {"params": {"at": jax.numpy.zeros(())}}},
        losses={"sum": loss},
        sample=lambda players, key, n, *, label=None: jax.numpy.zeros(n),
    )


def fitted(data, steps=STEPS, *, rows=None, fails_at=None, mesh=None, batch_size=12, **options):
    made = trainer(recorder([] if rows is None else rows, fails_at), {"sum": optax.sgd(0.1)})
    member = fit.Member(seed=options.pop("seed", 7), start=options.pop("start", None))
    controls = {"should_stop": options.pop("should_stop", None), "profile": options.pop("profile", None)}
    training = Training(steps, batch_size, evaluate_every=5, log_every=4)
    (ended,) = fit.fit_members(lambda values: made, data, training, [member], mesh=mesh, **controls)
    jax.effects_barrier()
    return ended


@pytest.fixture(scope="module")
def data(images):
    """On disk."""
    return prepare(load(f"images:{images}", images={"size": None}, stream=True), binarise="none")


@pytest.fixture(scope="module")
def whole(data):
    """The run that nobody stopped, in chunks as long as they may be."""
    return fitted(data)


def number(ended):
    return np.asarray(ended.state.variables["sum"]["params"]["at"])


def test_each_step_sees_the_batch_of_its_step(data):
    rows = []
    ended = fitted(data, rows=rows)
    stream = Stream(data.train, batch_size=12, seed=7)
    assert sorted(step for step, _ in rows) == list(range(STEPS))
    for step, x in rows:
        np.testing.assert_allclose(x, data.train.x.read(stream.rows(step)) / 255, rtol=1e-6)
    assert set(ended.seconds) == {"compiling", "running", "waiting"}
    assert 0 <= ended.seconds["waiting"] <= ended.seconds["running"]


def test_no_chunk_moves_the_result(data, whole, monkeypatch):
    monkeypatch.setattr(feed, "LONGEST_CHUNK", 2)  # at the flags of the tests, a loop of one step has other code
    cut = fitted(data)
    assert number(whole) == number(cut)
    assert whole.history == cut.history


def test_stopped_between_evaluations_and_at_one_it_goes_on_as_the_same(data, whole, monkeypatch):
    monkeypatch.setattr(feed, "LONGEST_CHUNK", 3)
    for chunks in (2, 3):
        count = iter(range(1, 100))
        with pytest.raises(StoppedError) as stopped:
            fitted(data, should_stop=lambda count=count, chunks=chunks: next(count) == chunks)
        (progress,) = stopped.value.progress
        assert progress.position["next_index"] == int(progress.state.step)
        gone_on = fitted(data, start=progress, seed=0)  # the seed is that of where it stood
        assert number(gone_on) == number(whole)
        assert gone_on.history == whole.history


def test_going_on_in_another_order_is_refused(data):
    with pytest.raises(StoppedError) as stopped:
        fitted(data, should_stop=lambda: True)
    (progress,) = stopped.value.progress
    other = progress._replace(position={**progress.position, "next_rows": [0] * 8})
    with pytest.raises(InputError, match="data, batch size or seed have changed"):
        fitted(data, start=other)


@pytest.mark.four_devices
def test_devices_share_each_batch_and_the_result(data, whole):
    np.testing.assert_allclose(number(fitted(data, mesh=data_mesh(4))), number(whole), rtol=1e-6)


def test_a_step_that_is_not_finite_names_the_rows_of_its_batch(data):
    with pytest.raises(NonFiniteError) as failed:
        fitted(data, fails_at=7)
    listed = ", ".join(map(str, Stream(data.train, batch_size=12, seed=7).rows(7)[:8]))
    assert f"the batch was rows {listed}, ... of the training split" in str(failed.value)
    assert failed.value.progress[0].position["next_index"] == 7


def test_a_profile_of_fewer_steps_than_were_prefetched_changes_nothing(data, whole, monkeypatch):
    monkeypatch.setattr(fit, "_PROFILED_STEPS", 2)
    assert number(fitted(data, profile=contextlib.nullcontext)) == number(whole)


def test_examples_that_become_unreadable_stop_the_run_and_are_named(data, images):
    file = data.train.x.file
    content = file.read_bytes()
    try:
        file.write_bytes(content[:-200])
        with pytest.raises(InputError, match=rf"{file.name}: example 5\d is damaged"):
            fitted(data)
    finally:
        file.write_bytes(content)


def test_several_members_and_zero_steps(data, base_flags, tmp_path, capsys):
    assert number(fitted(data, steps=0)) == 0
    with pytest.raises(SystemExit, match="2"):
        main(vae.EXPERIMENT, [*base_flags, "--seeds", "0:2", "--run-dir", str(tmp_path / "run")])
    assert "error: streamed data need one run at a time, got 2" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_training_examples_are_never_all_in_memory(data, base_flags, monkeypatch):
    most = []
    read = Records.read

    def counted(records, rows):
        x = read(records, rows)
        most.append(len(x))
        return x

    monkeypatch.setattr(Records, "read", counted)
    monkeypatch.setattr("genjax_models.data.streaming.CHUNK_BYTES", 2 * 12 * 36)
    assert Stream(data.train, batch_size=12, seed=0).longest_chunk == 2
    fitted(data, batch_size=12)
    assert max(most[1:]) == 12  # the first read is of the example with which players are initialised
    config = vae.Config(data=Data(base_flags[1], image_size=6, stream=True), training=Training(batch_size=12))
    assert "0.0 MiB training data on disk" in dry_run(vae.EXPERIMENT, config)
