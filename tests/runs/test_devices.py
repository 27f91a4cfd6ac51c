"""A run whose batches, or whose members, several devices share."""

import json
import os
import re
import signal

import chex
import jax
import numpy as np
import optax
import pytest

import genjax_models as gx
from experiments import vae
from genjax_models.commands.train import main
from genjax_models.data.prepare import Prepared
from genjax_models.reports import final_evaluation
from genjax_models.runs import feed, fit
from genjax_models.runs.configuration import Training
from genjax_models.types import Batch

pytestmark = pytest.mark.four_devices

FLAGS = "--hidden 8 --batch-size 12 --steps 8 --evaluate-every 5 --log-every 4 --schedule constant --warmup 0"
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}  # sums in another order; the error was 3e-8 after these 8 steps


@pytest.fixture(scope="module")
def base_flags(tmp_path_factory):
    """Arguments of a short run on small images, evaluated at 0, 5 and 8."""
    path, random = tmp_path_factory.mktemp("data") / "small.npz", np.random.RandomState(0)
    np.savez(path, x=random.randint(0, 256, (60, 6, 6, 1), np.uint8))
    return ["--data", str(path), *FLAGS.split()]


@pytest.fixture(scope="module", autouse=True)
def _without_reports():
    """Which take longer than these runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(final_evaluation, "report", lambda trained: None)
        yield


@pytest.fixture(scope="module")
def whole(base_flags, tmp_path_factory):
    """Runs that nobody stopped, on one device and on four."""
    folder = tmp_path_factory.mktemp("runs")
    for devices in (1, 4):
        assert (
            main(vae.EXPERIMENT, [*base_flags, "--devices", str(devices), "--run-dir", str(folder / str(devices))]) == 0
        )
    return {devices: folder / str(devices) for devices in (1, 4)}


@pytest.fixture
def stopped(monkeypatch):
    """Makes runs until SIGTERM comes after four steps."""
    timed = fit._timed_chunk

    def chunk(*arguments):
        state, metrics = timed(*arguments)
        if int(state.step) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return state, metrics

    def stop(arguments):
        with monkeypatch.context() as patch:
            patch.setattr(fit, "_timed_chunk", chunk)
            patch.setattr(feed, "LONGEST_CHUNK", 3)
            patch.setattr(feed, "CHUNK_SECONDS", 1e9)
            with pytest.raises(SystemExit, match="143"):
                main(vae.EXPERIMENT, arguments)

    return stop


def state_of(run):
    state = gx.load_run(run, "last").state
    return state._replace(key=jax.random.key_data(state.key))


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def assert_close(run, other):
    chex.assert_trees_all_close(state_of(run), state_of(other), **TOLERANCE)
    for one, two in zip(rows(run), rows(other), strict=True):
        assert one.keys() == two.keys()
        for name, value in one.items():
            assert value == (two[name] if isinstance(value, str) else pytest.approx(two[name], rel=1e-5))


@pytest.mark.slow
def test_a_run_on_four_devices_is_that_on_one(whole):
    assert_close(whole[4], whole[1])


@pytest.fixture
def placed(monkeypatch):
    """(devices of the step's counter, of a weight's shards) after each chunk."""
    timed, shardings = fit._timed_chunk, []

    def chunk(run, state, data, *rest):
        state, metrics = timed(run, state, data, *rest)
        weight = max(jax.tree.leaves(state.variables), key=lambda leaf: leaf.size)
        shard = weight.addressable_shards[0].data.shape
        train = jax.tree.leaves(data)[0]
        shardings.append((len(state.step.sharding.device_set), len(train.sharding.device_set), shard == weight.shape))
        return state, metrics

    monkeypatch.setattr(fit, "_timed_chunk", chunk)
    return shardings


@pytest.mark.slow
def test_state_and_data_are_on_every_device(base_flags, placed, tmp_path):
    main(vae.EXPERIMENT, [*base_flags, "--devices", "4", "--run-dir", str(tmp_path / "run")])
    assert set(placed) == {(4, 4, True)}


@pytest.mark.slow
def test_fit_takes_a_trainer_that_is_spread():
    data = Batch(jax.random.normal(jax.random.key(1), (24, 3)))
    prepared = Prepared(data, data, data, lambda key, batch: batch, (0, 1))
    alone = gx.trainer(gx.mixture(gx.gaussian_mixture((3,), 2)), {"mixture": optax.sgd(0.05)})
    ended = [
        gx.fit(train, prepared, Training(6, 8, 6, 6)) for train in (alone, gx.data_parallel(alone, gx.data_mesh(4)))
    ]
    assert [len(one.state.step.sharding.device_set) for one in ended] == [1, 4]
    chex.assert_trees_all_close(*(one.state.variables for one in ended), **TOLERANCE)


def mixture_on_four_devices():
    """Its trainer, a fresh state, and 10 examples."""
    objective = gx.mixture(gx.gaussian_mixture((3,), 2))
    train = gx.data_parallel(gx.trainer(objective, {"mixture": optax.sgd(0.05)}), gx.data_mesh(4))
    data = Batch(np.random.RandomState(0).randint(0, 9, (10, 3)).astype(np.uint8), np.arange(10))
    return train, jax.jit(train.init)(jax.random.key(0), in_floats(None, data)), data


def in_floats(key, batch):
    return batch._replace(x=batch.x.astype(np.float32))


def test_batches_of_examples_that_devices_share_are_the_same():
    """In two epochs and a half, with two rows at the end that are no examples."""
    train, state, data = mixture_on_four_devices()
    shares = feed.sharded(state, data)
    assert [shard.data.shape for leaf in jax.tree.leaves(shares) for shard in leaf.addressable_shards] == [
        (3, 3)
    ] * 4 + [(3,)] * 4
    run = gx.loop_over_data(train, batch_size=4, prepare=in_floats, size=10)
    ended = [run(jax.tree.map(jax.numpy.copy, state), placed, 5) for placed in (shares, feed.replicated(state, data))]
    chex.assert_trees_all_equal(ended[0][1], ended[1][1])
    chex.assert_trees_all_equal(ended[0][0].variables, ended[1][0].variables)


def test_devices_that_share_the_examples_send_each_other_batches_and_never_all():
    train, state, data = mixture_on_four_devices()
    data = jax.tree.map(lambda a: np.tile(a, (100, *[1] * (a.ndim - 1))), data)
    rows = gx.training.BatchRows(state.key, size=1_000, batch_size=4, chunk=5)(0, 5)
    run = gx.training.loop_over_rows(train, prepare=in_floats)
    program = run.lower(state, feed.sharded(state, data), rows, jax.numpy.int32(5)).compile().as_text()
    sent = re.findall(r"= (\w+)\[([\d,]*)\]\S* (?:all-|collective|reduce-scatter)", program)
    shapes = [tuple(map(int, shape.split(","))) for kind, shape in sent if kind == "u8"]
    assert shapes
    assert all(np.prod(shape) <= 4 * 3 for shape in shapes)  # a batch's bytes


@pytest.mark.slow
def test_devices_share_the_members(base_flags, whole, placed, tmp_path):
    flags = ["--devices", "2", "--seeds", "0,3", "--run-dir", str(tmp_path / "run")]
    main(vae.EXPERIMENT, [*base_flags, *flags])
    assert set(placed) == {(2, 2, False)}
    assert_close(tmp_path / "run" / "seed_0", whole[1])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--devices 5", "devices must be between 1 and 4, which this machine has, got 5"),
        ("--devices 0", "devices must be between 1 and 4, which this machine has, got 0"),
        ("--devices 4 --batch-size 10", "batch_size: a batch of 10 cannot be split over 4 devices; 8 or 12 can"),
        (
            "--devices 2 --seeds 0:2 --members in-turn",
            "--members in-turn needs one device, got 2; several devices share the members",
        ),
        ("--devices 4 --seeds 0:6", "members must be a multiple of 4, the devices that share them, got 6"),
    ],
)
def test_fault_08_what_devices_cannot_share_is_refused_before_anything_is_made(
    flags, words, base_flags, tmp_path, capsys
):
    with pytest.raises(SystemExit, match="2"):
        main(vae.EXPERIMENT, [*base_flags, *flags.split(), "--run-dir", str(tmp_path / "run")])
    assert capsys.readouterr() == ("", f"error: {words}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("before", "after"), [(4, 1), (1, 4)])
@pytest.mark.slow
def test_fault_43_a_run_resumes_on_another_number_of_devices(before, after, base_flags, whole, stopped, tmp_path):
    run = tmp_path / "run"
    stopped([*base_flags, "--devices", str(before), "--run-dir", str(run)])
    assert int(state_of(run).step) == 4
    assert main(vae.EXPERIMENT, ["--resume", str(run), "--devices", str(after)]) == 0
    assert int(state_of(run).step) == 8
    assert_close(run, whole[1])


def test_a_run_resumes_on_the_same_number_of_devices_bit_for_bit(base_flags, whole, stopped, tmp_path):
    run = tmp_path / "run"
    stopped([*base_flags, "--devices", "4", "--run-dir", str(run)])
    assert main(vae.EXPERIMENT, ["--resume", str(run), "--devices", "4"]) == 0
    chex.assert_trees_all_equal(state_of(run), state_of(whole[4]))
    assert (run / "metrics.jsonl").read_bytes() == (whole[4] / "metrics.jsonl").read_bytes()
