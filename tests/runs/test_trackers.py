"""The rows of a run, in every place that they are written to: each once, also after a run has resumed."""

import csv
import importlib
import json
import math
import struct
import sys
from types import SimpleNamespace

import pytest
from tensorboardX.proto import event_pb2

from genjax_models.commands.train import main
from genjax_models.errors import InputError
from genjax_models.runs import engine
from genjax_models.runs.command_line import Options
from genjax_models.runs.configuration import Training
from genjax_models.runs.metrics_file import MetricsFile, read_rows
from genjax_models.runs.tensorboard import tensorboard
from genjax_models.runs.weights_and_biases import weights_and_biases
from tests.runs.test_experiment import EXPERIMENT, Config
from tests.runs.test_tensorboard import events, logged, scalars

ROWS = [
    {"step": 0, "split": "validation", "bound": -3.5, "bound_se": 0.1},
    {"step": 2, "split": "train", "vae/loss": 1 / 3, "vae/kl": 1e-30},
    {"step": 4, "split": "train", "vae/loss": math.inf, "vae/kl": 2.0},
    {"step": 4, "split": "validation", "bound": -1.25, "bound_se": 0.0},
]


def table(path):
    """The rows of the CSV, without its empty cells."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if value} for row in rows]


def as_text(rows):
    return [{name: str(value) for name, value in row.items()} for row in rows]


def test_the_table_has_the_rows_and_a_column_per_metric(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    for i, row in enumerate(ROWS, start=1):
        metrics.append(row)
        assert table(tmp_path / "metrics.csv") == as_text(ROWS[:i])
    assert (tmp_path / "metrics.csv").read_text().splitlines()[:2] == [
        "step,split,bound,bound_se,vae/loss,vae/kl",
        "0,validation,-3.5,0.1,,",
    ]
    resumed = MetricsFile(tmp_path / "metrics.jsonl")  # the last two rows came after its checkpoint
    resumed.begin(ROWS[:2])
    for row in ROWS[2:]:
        resumed.append(row)
    assert table(tmp_path / "metrics.csv") == as_text(ROWS)
    resumed.begin([])
    assert (tmp_path / "metrics.csv").read_bytes() == b""


def test_event_files_of_a_resumed_run_have_each_row_once(tmp_path):
    for rows in ([], ROWS[:2]):  # two earlier starts, which made all rows
        with tensorboard(tmp_path, rows=rows) as on_metrics:
            for row in ROWS[len(rows) :]:
                on_metrics(row)
    assert scalars(tmp_path) == logged(ROWS)
    start = event_pb2.SessionLog.START
    assert [event.step for event in events(tmp_path) if event.session_log.status == start] == [0]


class FakeRun:
    """Holds what it was given, and the next step of its history, as a run of W&B does."""

    def __init__(self, options, earlier):
        self.options, self.rows, self.status = options, [], None
        self.step = earlier[-1]["step"] + 1 if earlier else 0

    def log(self, metrics, step):
        (split,) = {name.partition("/")[0] for name in metrics}
        self.rows.append({"step": step, "split": split, **{name.partition("/")[2]: metrics[name] for name in metrics}})

    def finish(self, exit_code):
        self.status = exit_code


@pytest.fixture
def fake(monkeypatch):
    """A module wandb whose server keeps the rows of each id, as the online mode does."""
    runs, server = [], {}

    def init(**options):
        runs.append(FakeRun(options, server.get(options["id"], [])))
        runs[-1].rows = server.setdefault(options["id"], [])
        return runs[-1]

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Settings=dict))
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return runs


def test_a_resumed_run_is_one_run_of_wandb(fake, tmp_path):
    for rows in ([], ROWS[:2]):
        with weights_and_biases(tmp_path, rows=rows) as on_metrics:
            for row in ROWS[len(rows) : 2 if not rows else None]:
                on_metrics(row)
    first, second = fake
    assert first.options["id"] == second.options["id"] == (tmp_path / "wandb" / "id").read_text()
    assert (first.options["project"], first.options["name"]) == ("genjax_models", tmp_path.name)
    assert second.rows == ROWS
    assert (first.status, second.status) == (0, 0)


def test_rows_from_before_the_flag_was_given_are_sent_too(fake, tmp_path):
    with weights_and_biases(tmp_path, rows=ROWS[:3]) as on_metrics:
        on_metrics(ROWS[3])
    assert fake[0].rows == ROWS


def test_an_error_is_seen_and_a_tracker_that_fails_does_not_end_the_run(fake, tmp_path, monkeypatch):
    with pytest.raises(ZeroDivisionError), weights_and_biases(tmp_path):
        raise ZeroDivisionError
    assert fake[0].status == 1

    def broken(self, metrics, step):
        raise ConnectionError("no\nserver")

    monkeypatch.setattr(FakeRun, "log", broken)
    with weights_and_biases(tmp_path) as on_metrics:
        with pytest.warns(UserWarning, match=r"wandb gets no more rows, metrics.jsonl has all \(no server\)"):
            on_metrics(ROWS[0])
        on_metrics(ROWS[1])  # in silence


def test_a_tracker_that_cannot_start_is_one_line(fake, tmp_path, monkeypatch):
    def init(**options):
        raise RuntimeError("No API key\nconfigured.")

    monkeypatch.setattr(sys.modules["wandb"], "init", init)
    with (
        pytest.raises(InputError, match=r"^wandb cannot start \(No API key configured.\). Use .*WANDB_MODE=offline$"),
        weights_and_biases(tmp_path),
    ):
        pass


@pytest.mark.parametrize(("flag", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_package_that_is_not_installed_is_named_before_any_compute(flag, package, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit, match="2"):
        main(EXPERIMENT, [f"--{flag}", "--run-dir", str(tmp_path / "run")])
    expected = (
        f"error: --{flag} needs {package}, which is not installed: pip install 'genjax_models[{flag}]' (see --help)\n"
    )
    assert capsys.readouterr().err == expected
    assert not (tmp_path / "run").exists()
    with (
        pytest.raises(InputError, match=rf"pip install 'genjax_models\[{flag}\]'"),
        weights_and_biases(tmp_path) if flag == "wandb" else tensorboard(tmp_path),
    ):
        pass


@pytest.mark.parametrize("flags_at_first", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_run_is_tracked_and_goes_on_being_tracked(flags_at_first, fake, tmp_path):
    """It ends after 3 steps, and goes on to 6 with the flags."""
    run, flags = tmp_path / "run", {"tensorboard": True, "wandb": True}
    for steps, options in (
        (3, Options(run_dir=run, **(flags if flags_at_first else {}))),
        (6, Options(resume=run, **flags)),
    ):
        config = Config(training=Training(steps, batch_size=4, evaluate_every=3))
        engine.train(EXPERIMENT, config, options, "command", report=lambda trained: None)
    rows = read_rows(run / "metrics.jsonl")
    assert [row["step"] for row in rows if row["split"] == "validation"] == [0, 3, 6]
    assert table(run / "metrics.csv") == as_text(rows)
    assert scalars(run / "tensorboard") == logged(rows)
    assert fake[-1].rows == rows
    assert fake[-1].options["config"]["config"]["training"]["steps"] == 6
    assert fake[-1].options["group"] is None


@pytest.mark.slow
def test_members_are_tracked_apart(fake, tmp_path):
    assert main(EXPERIMENT, ["--tensorboard", "--wandb", "--seeds", "0,1", "--run-dir", str(tmp_path / "runs")]) == 0
    for i, run in enumerate(fake):
        rows = read_rows(tmp_path / "runs" / f"seed_{i}" / "metrics.jsonl")
        assert run.rows == rows
        assert scalars(tmp_path / "runs" / f"seed_{i}" / "tensorboard") == logged(rows)
        assert (run.options["name"], run.options["group"]) == (f"runs/seed_{i}", "runs")
    assert fake[0].options["id"] != fake[1].options["id"]


def records(path):
    """The records of an offline file of W&B: a header, then blocks of 32 KiB of parts (sum, length, kind, bytes)."""
    record_class = importlib.import_module("wandb.proto.wandb_internal_pb2").Record
    data, at, whole = path.read_bytes(), 7, b""
    while at < len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record_class.FromString(whole)
            whole = b""


@pytest.mark.slow
def test_wandb_itself_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = tmp_path / "run"
    assert main(EXPERIMENT, ["--wandb", "--steps", "3", "--run-dir", str(run)]) == 0
    assert main(EXPERIMENT, ["--wandb", "--steps", "6", "--resume", str(run)]) == 0  # with no link in the directory
    files = sorted((run / "wandb").glob("offline-run-*/*.wandb"))
    assert [path.name for path in files] == [f"run-{(run / 'wandb' / 'id').read_text()}.wandb"] * 2
    history = [one.history for one in records(files[-1]) if one.HasField("history")]
    seen = {}
    for one in history:
        values = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in one.item}
        seen[values.pop("_step")] = {name: value for name, value in values.items() if not name.startswith("_")}
    expected = {}
    for row in read_rows(run / "metrics.jsonl"):
        metrics = {f"{row['split']}/{name}": value for name, value in row.items() if name not in ("step", "split")}
        expected.setdefault(row["step"], {}).update(metrics)
    assert seen == expected
