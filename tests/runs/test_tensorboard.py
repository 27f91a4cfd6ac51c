"""The event file holds what was logged, also where the run did not end well."""

import math
import struct
import sys

import jax.numpy as jnp
import optax
import pytest
from tensorboardX.proto import event_pb2

import genjax_models as gx
from genjax_models.data.prepare import Prepared
from genjax_models.errors import InputError, NonFiniteError
from genjax_models.runs.configuration import Training
from genjax_models.runs.fit import fit
from genjax_models.runs.tensorboard import tensorboard
from genjax_models.types import Aux, Batch, Objective

ROWS = [
    {"step": 0, "split": "validation", "bound": -5.25, "bound_se": 0.5},
    {"step": 10, "split": "train", "vae/bound": -4.0, "vae/kl": 1e-9},
    {"step": 10, "split": "validation", "bound": -3.5, "bound_se": 0.25},
    {"step": 4_000_000_000, "split": "train", "vae/bound": math.inf},
]


def events(folder):
    """Events of all files, oldest first: records of length, checksum, bytes, checksum."""
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            assert len(data) >= 16 + length, f"{path} is cut off"
            yield event_pb2.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def scalars(folder):
    return [(event.step, value.tag, value.simple_value) for event in events(folder) for value in event.summary.value]


def logged(rows):
    """As `scalars`, in float32, which is what an event holds."""
    return [
        (row["step"], f"{row['split']}/{name}", struct.unpack("f", struct.pack("f", value))[0])
        for row in rows
        for name, value in row.items()
        if name not in ("step", "split")
    ]


def test_every_metric_of_every_row_is_a_scalar_at_its_step(tmp_path):
    with tensorboard(tmp_path / "new" / "folder") as on_metrics:
        for row in ROWS:
            on_metrics(row)
    assert scalars(tmp_path / "new" / "folder") == logged(ROWS)


def game(nan_at):
    """One number that shrinks; its loss is not finite at step `nan_at`."""

    def loss(players, key, batch, step):
        value = jnp.sum(players["one"]["params"]["w"] ** 2) + jnp.mean(batch.x)
        return jnp.where(step == nan_at, jnp.nan, value), Aux({"twice": 2.0 * step})

    return Objective(lambda key, batch: {"one": {"params": {"w": jnp.ones(2)}}}, {"one": loss}, lambda *_: None)


@pytest.fixture(scope="module")
def numbers():
    rows = Batch(jnp.arange(8.0))
    return Prepared(rows, rows, rows, lambda key, batch: batch, (0, 1))


@pytest.mark.parametrize("nan_at", [-1, 6])
def test_all_that_fit_records_is_on_disk_when_it_ends_or_fails(nan_at, numbers, tmp_path):
    history = []
    trainer = gx.trainer(game(nan_at), {"one": optax.sgd(0.1)})
    evaluate = lambda players, key, batch: {"far": jnp.abs(batch.x - players["one"]["params"]["w"][0])}

    def run():
        with tensorboard(tmp_path) as on_metrics:

            def on_row(row):
                history.append(row)
                on_metrics(row)

            fit(trainer, numbers, Training(8, 4, 4, 2), evaluate=evaluate, on_metrics=on_row)

    if nan_at < 0:
        run()
    else:
        with pytest.raises(NonFiniteError):
            run()
    assert {"train/one/loss", "train/one/twice", "validation/far", "validation/far_se"} <= {
        tag for _, tag, _ in scalars(tmp_path)
    }
    assert history[-1]["step"] >= 4
    assert scalars(tmp_path) == logged(history)


@pytest.mark.parametrize(("resumed_at", "forgets_from"), [(None, []), (10, [11]), (0, [1])])
def test_a_resumed_run_adds_a_file_that_forgets_what_came_after_its_checkpoint(resumed_at, forgets_from, tmp_path):
    with tensorboard(tmp_path) as on_metrics:
        on_metrics(ROWS[0])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with tensorboard(tmp_path, resumed_at=resumed_at) as on_metrics:
        on_metrics(ROWS[2])
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(scalars(tmp_path)) == sorted(logged([ROWS[0], ROWS[2]]))
    start = event_pb2.SessionLog.START
    assert [event.step for event in events(tmp_path) if event.session_log.status == start] == forgets_from


def test_without_tensorboardx_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(InputError, match=r"pip install 'genjax_models\[tensorboard\]'"), tensorboard(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
