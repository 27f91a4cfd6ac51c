"""`--profile`: a trace of ten steps after the first, which changes nothing."""

import contextlib
import gzip
import json

import jax
import numpy as np
import pytest

from experiments import vae
from genjax_models.commands.train import main
from genjax_models.reports import final_evaluation
from genjax_models.runs import feed, fit


@pytest.fixture
def base_flags(tmp_path, monkeypatch):
    """Arguments of a run of 24 steps on small images."""
    monkeypatch.setattr(final_evaluation, "report", lambda trained: None)
    random = np.random.RandomState(0)
    np.savez(tmp_path / "small.npz", x=random.randint(0, 256, (60, 6, 6, 1), np.uint8))
    flags = "--hidden 8 --batch-size 12 --steps 24 --evaluate-every 24 --log-every 4"
    return ["--data", str(tmp_path / "small.npz"), *flags.split()]


@pytest.mark.slow
def test_a_trace_of_ten_steps_after_the_first_is_written_and_changes_nothing(base_flags, tmp_path, monkeypatch, capsys):
    timed, trace, within, counts = fit._timed_chunk, jax.profiler.trace, [], []

    @contextlib.contextmanager
    def noted(*arguments, **options):
        with trace(*arguments, **options):
            within.append(True)
            yield
            within.pop()

    def chunk(feed, state, batches, count):
        counts.append((count, bool(within)))
        return timed(feed, state, batches, count)

    monkeypatch.setattr(jax.profiler, "trace", noted)
    monkeypatch.setattr(fit, "_timed_chunk", chunk)
    monkeypatch.setattr(feed, "CHUNK_SECONDS", 1e9)
    run = tmp_path / "run"
    assert main(vae.EXPERIMENT, [*base_flags, "--profile", "--run-dir", str(run)]) == 0
    assert counts == [(1, False), (10, True), (5, False), (6, False), (2, False)]  # samples are kept at 16 and 22
    (path,) = (run / "profile").rglob("*.trace.json.gz")
    stderr = capsys.readouterr().err
    assert f"trace: {path}\nopen it at https://ui.perfetto.dev, or by: pip install xprof; xprof --logdir" in stderr
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    assert sum("dot" in event.get("name", "") for event in events) >= 10  # a matrix product of each step, at the least
    assert main(vae.EXPERIMENT, [*base_flags, "--run-dir", str(tmp_path / "other")]) == 0
    assert (run / "metrics.jsonl").read_bytes() == (tmp_path / "other" / "metrics.jsonl").read_bytes()


def test_a_run_with_no_step_after_the_first_is_refused(base_flags, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(vae.EXPERIMENT, [*base_flags, "--steps", "1", "--profile", "--run-dir", str(tmp_path / "run")])
    assert capsys.readouterr().err == "error: --profile needs a step after the first one, got 1 steps to make\n"
    assert not (tmp_path / "run").exists()
