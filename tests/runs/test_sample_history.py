"""Stored samples: few on disk however many evaluations there are, the same few if the run was stopped."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageSequence

from genjax_models.runs import sample_history
from genjax_models.runs.kept_steps import is_kept, kept_after
from genjax_models.runs.sample_history import SampleHistory

STEPS = 3_000
EVERY = 200
KEPT = [0, 16, 22, 32, 45, 64, 90, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896]


@pytest.fixture
def drawn(monkeypatch):
    """Steps of the rows of the last picture; pictures of samples are not drawn, for their time."""
    rows = []
    learning = lambda stored, *_: rows.append([s for s, _ in stored]) or sample_history.Picture("learning", "", "", b"")
    monkeypatch.setattr(sample_history.pictures, "samples", lambda x, *_: SimpleNamespace(png=x.tobytes()))
    monkeypatch.setattr(sample_history.pictures, "learning", learning)
    return rows


def history_in(folder):
    """Samples whose grey says the step."""
    folder.mkdir(exist_ok=True)
    return SampleHistory(lambda players: np.full((4, 2, 2, 1), players["n"] / STEPS), folder, "", (0, 1))


def state(step):
    return SimpleNamespace(step=step, variables={"n": step}, average={})


def train(history, first, last, needed=()):
    """Does as a run from the step after `first` on: keeps and evaluates."""
    for step in range(first, last + 1):
        if step % EVERY == 0:
            history.append(state(step))
            history.delete_others(needed)
        elif is_kept(step):
            history.keep(state(step))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_kept_steps_are_two_per_doubling():
    assert [step for step in range(STEPS) if is_kept(step)] == KEPT
    assert [kept_after(step) for step in (0, 15, 16, 2895, 2896)] == [16, 16, 22, 2896, 4096]
    assert sum(map(is_kept, KEPT)) == len(KEPT)


def test_fault_66_few_samples_are_stored_and_read(tmp_path, drawn, monkeypatch):
    history = history_in(tmp_path / "run")
    train(history, 0, STEPS)
    arrays = {int(name[8:16]) for name in names(history.folder) if name.endswith(".npy")}
    assert arrays == {*KEPT, STEPS}
    assert set(names(history.folder)) == set(history.digests)
    loads, load = [], np.load
    monkeypatch.setattr(np, "load", lambda path, **options: loads.append(path) or load(path, **options))
    history.pictures(STEPS)
    (shown,) = drawn
    assert (len(shown), shown[0], shown[-1]) == (8, 0, STEPS)
    assert len(loads) == 8 + len(KEPT) + 1


@pytest.mark.slow
@pytest.mark.parametrize("stop", [0, 200, 1_000, 2_800])
def test_fault_66_a_stopped_run_stores_the_same_samples_and_film(stop, tmp_path, drawn):
    whole, first, second = (history_in(tmp_path / name) for name in ("whole", "run", "run"))
    train(whole, 0, STEPS)
    train(first, 0, stop)
    digests = dict(first.digests)
    train(first, stop + 1, stop + EVERY - 1)  # the run is killed after its checkpoint
    second.resume(digests, range(0, stop + 1, EVERY))
    train(second, stop + 1, STEPS)
    assert names(second.folder) == names(whole.folder)
    assert second.digests == whole.digests
    assert second.pictures(STEPS)[1].gif == whole.pictures(STEPS)[1].gif


def test_a_slow_draw_is_made_at_evaluations_only(tmp_path, drawn):
    """The first evaluation after a kept step stands for it; the same ones after a stop."""
    draws, whole, first, second = [], *(history_in(tmp_path / name) for name in ("whole", "run", "run"))
    for history in (whole, first, second):
        history.slow = True
    draw, whole.draw = whole.draw, lambda players: draws.append(players["n"]) or draw(players)
    train(whole, 0, STEPS)
    assert draws == list(range(0, STEPS + 1, EVERY))
    assert {int(name[8:16]) for name in whole.digests} == {0, 200, 400, 600, 800, 1200, 1600, 2200, 3000}
    train(first, 0, 1_000)
    second.resume(first.digests, range(0, 1_001, EVERY))
    train(second, 1_001, STEPS)
    assert second.digests == whole.digests


def test_the_film_has_a_frame_per_kept_step(tmp_path, drawn):
    history = history_in(tmp_path / "run")
    train(history, 0, STEPS)
    film = Image.open(io.BytesIO(history.pictures(STEPS)[1].gif))
    greys = [frame.convert("L").getpixel((5, 50)) for frame in ImageSequence.Iterator(film)]
    np.testing.assert_allclose(greys, [255 * step / STEPS for step in [*KEPT, STEPS]], atol=6)
    lone = history_in(tmp_path / "lone")
    lone.append(state(0))
    assert lone.pictures(0)[1].gif is None


def test_fault_66_samples_that_an_older_checkpoint_needs_stay_and_so_do_strays(tmp_path, drawn):
    history = history_in(tmp_path / "run")
    for stray in ("samples_00000999.npy", "samples_final.npy", "samples_00000005.txt"):
        (history.folder / stray).write_text("mine")
    train(history, 0, 400)
    needed = dict(history.digests)
    train(history, 401, 600, needed)
    assert set(needed) | set(history.digests) < set(names(history.folder))
    history.delete_others([])
    strays = {"samples_00000999.npy", "samples_final.npy", "samples_00000005.txt"}
    assert set(names(history.folder)) == set(history.digests) | strays


def test_samples_that_an_older_version_stored_are_read(tmp_path, drawn):
    history = history_in(tmp_path / "run")
    history.append(state(0))
    np.save(history.folder / "samples_00000000.npy", np.full((4, 2, 2, 1), 0.4, np.float32))
    np.testing.assert_allclose(history._load(0), 0.4, atol=1e-6)
