"""The benchmark counts each part of a run once."""

import time

import pytest

from experiments.benchmarks import runs


@pytest.mark.parametrize(
    ("intervals", "length"),
    [([], 0), ([(1, 3)], 2), ([(1, 3), (2, 5), (7, 8)], 5), ([(2, 3), (1, 9), (4, 5)], 8), ([(0, 1), (1, 2)], 2)],
)
def test_nested_compilations_count_once(intervals, length):
    assert runs.covered(intervals) == length


@pytest.mark.slow
def test_a_run_and_its_resumption_are_measured_without_a_change_to_the_run(files, tmp_path):
    run = tmp_path / "run"
    flags = ["--data", str(files / "images.npz"), "--hidden", "8", "--batch-size", "12", "--log-every", "4"]
    measured = runs.saving([*flags, "--steps", "13", "--evaluate-every", "5", "--schedule", "constant"], run)
    assert (run / "report.html").is_file()
    calls = {name.strip(): calls for name, (_, calls) in measured.parts.items()}
    saved = 4  # at 0, 5, 10 and 13
    assert (calls["checkpoints"], calls["arrays"], calls["pictures"]) == (saved, saved, saved)
    assert calls["rows"] == len((run / "metrics.jsonl").read_text().splitlines())
    assert calls["sha256"] >= saved
    assert calls["fsync"] > saved
    seconds = {name.strip(): seconds for name, (seconds, _) in measured.parts.items()}
    within = sum(seconds[name] for name in ("arrays", "sha256", "fsync"))
    assert 0 < within < seconds["checkpoints"] < measured.seconds
    assert "13 steps, saved every 5: " in "\n".join(runs.saving_lines(measured, 13, 5))

    before = {path: path.read_bytes() for path in (run / "checkpoints").rglob("*") if path.is_file()}
    newest = max((run / "checkpoints").iterdir())
    for path in sorted(newest.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    newest.rmdir()
    started = time.perf_counter()
    resumed = runs.resuming(run)
    whole = time.perf_counter() - started
    assert min(resumed) > 0
    assert resumed.seconds + resumed.compiling + resumed.imports < whole
    left = {path: path.read_bytes() for path in (run / "checkpoints").rglob("*") if path.is_file()}
    assert left == {path: content for path, content in before.items() if newest not in path.parents}
