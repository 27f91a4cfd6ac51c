"""Chorales are read from scores in the folder of music21, which is not imported; a tiny folder stands in for it."""

import importlib.util
import sys
import zipfile

import numpy as np
import pytest

from genjax_models.data import chorales, load, scores
from genjax_models.errors import InputError

KEYS = "C D EF G A B"  # a letter for each white key
PITCH = "<pitch><step>{step}</step>{alter}<octave>{octave}</octave></pitch>"
# Soprano, alto, tenor, bass: keys with eighths, "r" rests, ">" goes on without a note.
VOICES = "C5 2|B-4 1|F#4 1|r 2 / G4 2", "E4 6 / F#4 2", "G3 6 / G3 2|> 2", "C2 3|D2 1|C3 2 / C3 2"
KERN = """!!!COM: Bach, Johann Sebastian
**kern\t**silbe\t**kern\t**kern\t**kern
*clefF4\t*\t*\t*\t*
4.CC\tAch\t2.G/\t2.e\t(4cc
.\t.\t.\t.\t8b-L
8DD\tund\t.\t.\t8f#J)
4C\t.\t.\t.\t4r
=2\t=2\t=2\t=2\t=2
4C;\toh\t4G\t4f#\t8bq 4g
*-\t*-\t*-\t*-\t*-
"""
SOUND = [{36, 55, 64, 72}, {36, 55, 64, 70}, {48, 55, 64}, {48, 55, 66, 67}]  # MIDI keys at the quarter notes


def note(name, eighths):
    """An element of MusicXML; two divisions are a quarter note, so that an eighth is one."""
    if name == ">":
        return f"<forward><duration>{eighths}</duration></forward>"
    alter = {"-": "<alter>-1</alter>", "#": "<alter>1</alter>"}.get(name[1:2], "")
    pitch = "<rest/>" if name == "r" else PITCH.format(step=name[0], alter=alter, octave=name[-1])
    return f"<note>{pitch}<duration>{eighths}</duration></note>"


def music_xml(voices=VOICES, octaves=0, extra=""):
    parts = []
    for voice in voices:
        measures = [[one.split() for one in measure.strip().split("|")] for measure in voice.split("/")]
        raised = lambda name: name if name in "r>" else f"{name[:-1]}{int(name[-1]) + octaves}"
        notes = ["".join(note(raised(name), eighths) for name, eighths in measure) for measure in measures]
        inside = f"</measure><measure>{extra}".join(notes)
        parts.append(f"<part><measure><attributes><divisions>2</divisions></attributes>{inside}</measure></part>")
    return f'<?xml version="1.0"?><score-partwise>{"".join(parts)}</score-partwise>'


@pytest.fixture
def bach(tmp_path, monkeypatch):
    """The folder of a package of this name: three scores of four voices, and one of three."""
    folder = tmp_path / "site" / "music21" / "corpus" / "bach"
    folder.mkdir(parents=True)
    (folder / "a.xml").write_text(music_xml(), encoding="utf-8")
    (folder / "b.krn").write_text(KERN, encoding="latin-1")
    with zipfile.ZipFile(folder / "c.mxl", "w") as archive:
        archive.writestr(
            "META-INF/container.xml", '<container><rootfiles><rootfile full-path="c.xml"/></rootfiles></container>'
        )
        archive.writestr("c.xml", music_xml([f"{voice.replace('|> 2', '')} / {voice}" for voice in VOICES], octaves=1))
    (folder / "d.xml").write_text(music_xml(VOICES[:3]), encoding="utf-8")
    (folder / "e.txt").write_text("no score", encoding="utf-8")
    (tmp_path / "site" / "music21" / "__init__.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "music21", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def sounding(x):
    return [set((np.flatnonzero(step) + chorales.LOWEST).tolist()) for step in x]


@pytest.mark.parametrize("name", ["a.xml", "b.krn"])
def test_a_key_sounds_from_its_start_until_just_before_its_end(name, bach):
    """Rests at the end count, and what goes on without a note does not."""
    score = scores.voices(bach / name)
    assert len(score) == 4
    assert max(voice.end for voice in score) == 4
    assert sounding(chorales.piano_roll(score, 4)) == SOUND


def test_chords_grace_notes_and_second_voices(tmp_path):
    """A chord begins with its first note; <backup> goes back for a second voice; a grace note takes no time."""
    chord = note("C4", 2) + note("E4", 2).replace("<note>", "<note><chord/>")
    second = "<backup><duration>2</duration></backup>" + note("G3", 4)
    grace = note("B4", 0).replace("<note>", "<note><grace/>").replace("<duration>0</duration>", "")
    text = music_xml(["C5 2 / C5 2"], extra=grace + chord + second)
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    score = scores.voices(tmp_path / "a.xml")
    assert sounding(chorales.piano_roll(score, 4)) == [{72}, {60, 64, 55}, {55}, {72}]


def test_scores_of_four_voices_are_binary_sequences(bach):
    dataset = load("chorales")
    assert (dataset.kind, dataset.shape, dataset.is_binary) == ("sequences", (8, 88), True)
    splits = {len(split.x): split for split in dataset[1:4]}
    assert set(splits) == {1}
    lengths = sorted(int(split.length[0]) for split in dataset[1:4])
    assert lengths == [4, 4, 8]
    for split in dataset[1:4]:
        expected = SOUND if split.length == 4 else [{key + 12 for key in step} for step in SOUND * 2]
        assert sounding(split.x[0])[: int(split.length[0])] == expected
        assert not split.x[0, int(split.length[0]) :].any()


def test_scores_are_read_once_for_each_version_of_the_files(bach, monkeypatch):
    read = []
    monkeypatch.setattr(chorales, "voices", lambda file: read.append(file.name) or scores.voices(file))
    first, second = load("chorales"), load("chorales")
    assert read == ["a.xml", "b.krn", "c.mxl", "d.xml"]
    np.testing.assert_array_equal(first.train.x, second.train.x)
    np.testing.assert_array_equal(first.train.length, second.train.length)
    (bach / "a.xml").write_text(music_xml(octaves=1), encoding="utf-8")
    load("chorales")
    assert len(read) == 8


def test_without_music21_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = r"chorales need the files of music21: pip install 'genjax_models\[music\]', or .* --no-deps music21"
    with pytest.raises(InputError, match=message) as error:
        load("chorales")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xml", b"<score-partwise><part>", r"a\.xml: is damaged \("),
        ("c.mxl", b"PK", r"c\.mxl: is damaged \("),
        ("a.xml", music_xml().replace("<step>G</step>", "").encode(), r"a\.xml: cannot be read as a score \(KeyError"),
        (
            "b.krn",
            KERN.replace("=2", "*^", 1).encode(),
            r"b\.krn: cannot be read as a score \(ValueError: a column splits",
        ),
        ("a.xml", None, r"bach: is no folder; chorales need a music21 with its corpus"),
    ],
)
def test_damaged_scores_are_named(name, content, message, bach):
    if content is None:
        bach.rename(bach.parent / "handel")
    else:
        (bach / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        load("chorales")
    assert "\n" not in str(error.value)


@pytest.mark.slow  # 10 s to read the scores
@pytest.mark.skipif(not importlib.util.find_spec("music21"), reason="needs the files of music21")
def test_the_corpus_has_368_chorales(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataset = load("chorales")
    assert [len(split.x) for split in dataset[1:4]] == [292, 38, 38]
    length = np.concatenate([split.length for split in dataset[1:4]])
    assert (length.min(), length.max(), length.sum()) == (24, 193, 20_000)
