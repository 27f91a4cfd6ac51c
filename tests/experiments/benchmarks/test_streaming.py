"""Both contestants train on the same data, one from memory and one from disk, and ratios are within a turn."""

import os

import pytest

from experiments.benchmarks import streaming
from genjax_models.data.records import Records

pytest.importorskip("grain")
pytest.importorskip("tensorflow_datasets")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["digits", "images"])
def test_both_contestants_have_the_same_data_and_only_one_streams_them(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if kind == "digits":
        data, shape = f"tfds:{streaming.digits_as_array_record(tmp_path / 'tfds', 130)}", (28, 28, 1)
    else:
        data, shape = f"images:{streaming.images_as_png(tmp_path / 'png', 130)}", (64, 64, 3)
    runs = {stream: streaming.prepared(data, 2, stream) for stream in (False, True)}
    for stream, (_, prepared, training) in runs.items():
        assert isinstance(prepared.train.x, Records) == stream
        assert prepared.train.x.shape == (104, *shape)
        assert (training.steps, training.batch_size) == (2, 100)
    turn = streaming.timed(*runs[True])
    assert 0 <= turn.waiting < turn.step
    assert len(os.listdir(tmp_path / "cache" / "genjax_models" / "images")) >= 2


def test_ratios_are_within_a_turn():
    turns = [
        {False: streaming.Turn(0.01 * slowness, 0), True: streaming.Turn(0.011 * slowness, 0.00011 * slowness)}
        for slowness in (1, 2, 9)
    ]
    memory, streamed, ratio = streaming.lines_of_turns(turns)
    assert "20.00 ms a step" in memory
    assert "22.00 ms a step, of which waiting 1.00% (at most 1.00% of a turn)" in streamed
    assert "1.100 (1.100 to 1.100)" in ratio
