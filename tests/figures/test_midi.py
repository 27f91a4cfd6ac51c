"""A piano roll as a MIDI file, read back by the rules of the standard."""

import numpy as np
import pytest

from genjax_models.figures.midi import midi

ROLL = np.zeros((210, 4), np.uint8)  # long rests need two bytes of waiting
ROLL[0:3, 0] = ROLL[2:4, 1] = ROLL[3, 0] = ROLL[200:, 3] = 1


def notes_of(file):
    """Returns (key, start, end) of each note in ticks, the tempo, and the length of the track in ticks."""
    assert file[:8] == b"MThd\x00\x00\x00\x06"
    assert [int.from_bytes(file[i : i + 2], "big") for i in (8, 10, 12)] == [0, 1, 96]
    assert file[14:18] == b"MTrk"
    track = file[22:]
    assert len(track) == int.from_bytes(file[18:22], "big")
    place, now, tempo, begun, notes = 0, 0, None, {}, []
    while place < len(track):
        wait, more = 0, True
        while more:
            byte = track[place]
            wait, more, place = wait << 7 | byte & 0x7F, byte >> 7, place + 1
        now += wait
        kind = track[place]
        if kind == 0xFF:
            length = track[place + 2]
            if track[place + 1] == 0x51:
                tempo = int.from_bytes(track[place + 3 : place + 6], "big")
            place += 3 + length
        elif kind == 0xC0:
            place += 2
        else:
            assert kind in (0x90, 0x80)
            key = track[place + 1]
            if kind == 0x90:
                assert key not in begun
                begun[key] = now
            else:
                notes.append((key, begun.pop(key), now))
            place += 3
    assert not begun
    return sorted(notes), tempo, now


def test_every_note_is_written():
    notes, tempo, end = notes_of(midi(ROLL, lowest=60, steps_per_minute=120))
    assert notes == [(60, 0, 4 * 96), (61, 2 * 96, 4 * 96), (63, 200 * 96, 210 * 96)]
    assert tempo == 500_000
    assert end == 210 * 96


def test_silence_and_no_steps_have_no_notes():
    assert notes_of(midi(np.zeros((5, 88)))) == ([], 600_000, 5 * 96)
    assert notes_of(midi(np.zeros((0, 88))))[2] == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"roll": np.full((3, 4), 0.5)}, r"must be \[time, keys\] of 0 and 1"),
        ({"roll": np.zeros(3)}, r"got shape \(3,\)"),
        ({"lowest": 125}, "keys must be from 0 to 127, got 125 to 128"),
        ({"steps_per_minute": 0}, "steps_per_minute must be from 3.58 to 6e7, got 0"),
    ],
)
def test_bad_input_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        midi(**{"roll": ROLL} | wrong)
