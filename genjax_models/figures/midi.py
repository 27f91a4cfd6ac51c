"""A piano roll as a Standard MIDI File, which any player of music plays."""

import numpy as np

from genjax_models.types import Array

_TICKS = 96  # of a step, a quarter note
_VELOCITY = 64
_PIANO = 0  # of General MIDI


def midi(roll: Array, *, lowest: int = 21, steps_per_minute: float = 100) -> bytes:
    """Returns a MIDI file of format 0 of a piano roll, binary `[time, keys]`; a step is a quarter note.

    A key that sounds in neighbouring steps is one long note: a roll does not say where a note is struck again.

    Args:
      roll: which keys sound in each step.
      lowest: MIDI key of the first column; 21 is the lowest key of a piano.
      steps_per_minute: tempo.

    Raises:
      ValueError: the roll is no matrix of 0 and 1, a key is outside MIDI's 0 to 127, or the tempo cannot be written.
    """
    roll = np.asarray(roll)
    if roll.ndim != 2 or not np.isin(roll, (0, 1)).all():
        raise ValueError(f"a piano roll must be [time, keys] of 0 and 1, got shape {roll.shape} of {roll.dtype}")
    if lowest < 0 or lowest + roll.shape[1] > 128:
        raise ValueError(f"keys must be from 0 to 127, got {lowest} to {lowest + roll.shape[1] - 1}")
    if not 3.58 <= steps_per_minute <= 6e7:  # three bytes hold the microseconds of a step
        raise ValueError(f"steps_per_minute must be from 3.58 to 6e7, got {steps_per_minute}")
    tempo = round(6e7 / steps_per_minute)
    events = [b"\x00\xff\x51\x03" + tempo.to_bytes(3, "big"), b"\x00" + bytes([0xC0, _PIANO])]
    sounds = np.pad(roll.astype(np.int8), ((1, 1), (0, 0)))
    waited = 0
    for changes in np.diff(sounds, axis=0):
        for key in np.flatnonzero(changes):
            event = [0x90, lowest + int(key), _VELOCITY] if changes[key] > 0 else [0x80, lowest + int(key), 0]
            events.append(_variable_length(waited) + bytes(event))
            waited = 0
        waited += _TICKS
    track = b"".join(events) + _variable_length(max(waited - _TICKS, 0)) + b"\xff\x2f\x00"
    header = b"MThd" + (6).to_bytes(4, "big") + b"".join(n.to_bytes(2, "big") for n in (0, 1, _TICKS))
    return header + b"MTrk" + len(track).to_bytes(4, "big") + track


def _variable_length(number: int) -> bytes:
    """Returns a number in groups of seven bits; the highest bit of all bytes but the last is 1."""
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(groups[::-1])
