"""Stored samples: few on disk however many evaluations there are, the same few if the run was stopped."""

from types import SimpleNamespace

import numpy as np
import pytest

from genjax_models.runs import sample_history
from genjax_models.runs.sample_history import SampleHistory, stored_of

N = 300


@pytest.fixture
def drawn(monkeypatch):
    """Steps of the rows of the last picture; pictures of samples are not drawn, for their time."""
    rows = []
    monkeypatch.setattr(sample_history.pictures, "samples", lambda x, *_: SimpleNamespace(png=x.tobytes()))
    monkeypatch.setattr(sample_history.pictures, "learning", lambda stored, *_: rows.append([s for s, _ in stored]))
    return rows


def history_in(folder):
    folder.mkdir(exist_ok=True)
    return SampleHistory(lambda players: np.full((2, 1), players["n"]), folder, "", (0, 1))


def evaluate(history, steps):
    for step in steps:
        history.append(SimpleNamespace(step=step, variables={"n": step}, average={}))
        history.delete_others([])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_fault_66_few_samples_are_stored_and_read(tmp_path, drawn, monkeypatch):
    history, steps = history_in(tmp_path / "run"), [10 * i for i in range(N)]
    counts = []
    for step in steps:
        evaluate(history, [step])
        counts.append((len(names(history.folder)), len(history.digests)))
    assert max(counts) == (34, 34)
    assert {int(name[8:16]) for name in history.digests} == {*range(0, 10 * N, 320), 10 * (N - 1)}
    loads, load = [], np.load
    monkeypatch.setattr(np, "load", lambda path, **options: loads.append(path) or load(path, **options))
    history.pictures(steps[-1])
    (shown,) = drawn
    assert (len(shown), shown[0], shown[-1]) == (8, 0, steps[-1])
    assert len(loads) == 9


@pytest.mark.parametrize("stop", [1, 16, 17, 18, 33, 64, 65, 299])
def test_fault_66_a_stopped_run_stores_the_same_samples(stop, tmp_path, drawn):
    whole, first, second = (history_in(tmp_path / name) for name in ("whole", "run", "run"))
    steps = [10 * i for i in range(N)]
    evaluate(whole, steps)
    evaluate(first, steps[:stop])
    second.resume(first.digests, steps[:stop])
    evaluate(second, steps[stop:])
    assert names(second.folder) == names(whole.folder)
    assert second.digests == whole.digests


def test_fault_66_samples_that_an_older_checkpoint_needs_stay_and_so_do_strays(tmp_path, drawn):
    history = history_in(tmp_path / "run")
    for stray in ("samples_00000999.npy", "samples_final.npy", "samples_00000005.txt"):
        (history.folder / stray).write_text("mine")
    evaluate(history, range(16))
    needed = dict(history.digests)
    history.append(SimpleNamespace(step=16, variables={"n": 16}, average={}))
    history.delete_others(needed)
    assert set(needed) | set(history.digests) < set(names(history.folder))
    history.delete_others([])
    strays = {"samples_00000999.npy", "samples_final.npy", "samples_00000005.txt"}
    assert set(names(history.folder)) == set(history.digests) | strays


def test_stored_evaluations_are_spaced_by_powers_of_two():
    assert stored_of([]) == []
    assert stored_of(range(16)) == list(range(16))
    assert stored_of(range(17)) == list(range(0, 17, 2))
    assert stored_of(range(18)) == [*range(0, 18, 2), 17]
