"""Emoji: one picture per code point, in the groups of Unicode's list."""

import numpy as np
import pytest

import genjax_models as gx
from genjax_models.data import emoji
from genjax_models.errors import InputError

LIST = """
# group: Smileys & Emotion
# subgroup: face-smiling
1F600                                      ; fully-qualified     # grinning face
2639 FE0F                                  ; fully-qualified     # frowning face
2639                                       ; unqualified         # frowning face
# group: Flags
1F3C1                                      ; fully-qualified     # chequered flag
1F1E9 1F1EA                                ; fully-qualified     # flag of two code points
"""


def test_emoji_of_one_code_point_are_listed_with_their_group():
    characters, groups = emoji._listed(LIST)
    assert characters == ["\U0001f600", "\u2639\ufe0f", "\U0001f3c1"]
    assert groups == ["Smileys & Emotion", "Smileys & Emotion", "Flags"]


def test_a_missing_package_is_named_with_its_cure(monkeypatch, tmp_path):
    for name in ("FONT", "LIST"):
        monkeypatch.setattr(emoji, name, tmp_path / name)
    with pytest.raises(InputError, match="apt-get install fonts-noto-color-emoji unicode-data"):
        gx.load("emoji")
    with pytest.raises(InputError, match="size of emoji must be an integer of at least 8, got 4"):
        gx.load("emoji:4")


@pytest.mark.skipif(not (emoji.FONT.is_file() and emoji.LIST.is_file()), reason="needs two packages of Debian")
def test_all_emoji_are_drawn_in_colour():
    data = gx.load("emoji:16")
    assert data.shape == (16, 16, 3)
    assert data.num_classes == len(data.class_names) == 9
    assert sum(len(part.x) for part in (data.train, data.validation, data.test)) >= 1_377
    spread = np.ptp(data.train.x.astype(int), axis=-1).max(axis=(1, 2))
    assert np.mean(spread > 60) > 0.8  # most are in colour
    assert (data.train.x.reshape(len(data.train.x), -1).min(axis=1) < 250).all()  # none is empty
