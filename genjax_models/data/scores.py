"""The notes of a score, voice by voice, read from MusicXML (`.mxl`, `.xml`) and Humdrum (`.krn`) files.

Repeats are not played twice, ties stay two notes, grace notes are left out, and a pitch is rounded to its key.
"""

import re
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from genjax_models.errors import InputError

_KEYS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}  # above C
_MIDDLE_C = 60  # as a MIDI key


class Note(NamedTuple):
    """A note: its MIDI key, and where it begins and ends, in quarter notes from the start of the score."""

    key: int
    start: Fraction
    end: Fraction


class Voice(NamedTuple):
    """The notes of a voice, and the end of its last note or rest, in quarter notes."""

    notes: list[Note]
    end: Fraction


def voices(file: Path) -> list[Voice]:
    """Returns the voices of a score, from the file's first to its last.

    Raises:
      InputError: the file cannot be read, or is no score.
    """
    try:
        if file.suffix == ".krn":
            return _of_kern(file.read_text(encoding="latin-1"))
        return [_of_part(part) for part in ElementTree.fromstring(_music_xml(file)).findall("part")]
    except (OSError, KeyError, ValueError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise InputError(f"{file}: cannot be read as a score ({type(error).__name__}: {error})") from error
    except (ElementTree.ParseError, zipfile.BadZipFile) as error:
        raise InputError(f"{file}: is damaged ({error})") from error


def _music_xml(file: Path) -> bytes:
    if file.suffix == ".xml":
        return file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
        return archive.read(container.find(".//{*}rootfile").attrib["full-path"])  # pyright: ignore[reportOptionalMemberAccess]


def _of_part(part: ElementTree.Element) -> Voice:
    notes, place, divisions, last = [], Fraction(0), 1, Fraction(0)
    for measure in part.iter("measure"):
        end = place
        for element in measure:
            if element.tag == "attributes":
                divisions = int(element.findtext("divisions") or divisions)
            elif element.tag in ("note", "backup", "forward") and element.find("grace") is None:
                duration = Fraction(int(element.findtext("duration") or 0), divisions)
                if element.tag == "backup" or element.find("chord") is not None:
                    place -= duration  # a note of a chord begins where the one before it began
                if (pitch := element.find("pitch")) is not None:
                    notes.append(Note(_key(pitch), place, place + duration))
                place += duration * (element.tag != "backup")
                last = max(last, place) if element.tag == "note" else last
            end = max(end, place)
        place = end
    return Voice(notes, last)


def _key(pitch: ElementTree.Element) -> int:
    octave, step, alter = (pitch.findtext(name) or "0" for name in ("octave", "step", "alter"))
    return _MIDDLE_C + 12 * (int(octave) - 4) + _KEYS[step] + round(float(alter))


def _of_kern(text: str) -> list[Voice]:
    """Returns the columns `**kern`; a column that splits is refused."""
    columns, found = [], []
    for line in text.splitlines():
        fields = line.split("\t")
        if line.startswith("**"):
            columns = [i for i, field in enumerate(fields) if field == "**kern"]
            found = [([], Fraction(0)) for _ in columns]
        elif line.startswith("*") and {"*^", "*v", "*+", "*x"} & set(fields):
            raise ValueError("a column splits")
        elif columns and line and line[0] not in "*!=":
            found = [_after(fields[i], *voice) for i, voice in zip(columns, found, strict=True)]
    return [Voice(notes, end) for notes, end in found]


def _after(field: str, notes: list[Note], place: Fraction) -> tuple[list[Note], Fraction]:
    """Returns the notes and the place after a field such as "8.cc#", or "." if a note goes on."""
    end = place
    for token in field.split():
        duration = re.search(r"(\d+)(\.*)", token)
        if token == "." or "q" in token or duration is None:
            continue
        quarters = Fraction(4, int(duration[1])) if int(duration[1]) else Fraction(8)
        end = place + quarters * (2 - Fraction(1, 2 ** len(duration[2])))
        if pitch := re.search(r"([a-gA-G])\1*(#+|-+|)", token):
            letter, octave = pitch[1].upper(), len(pitch[0].rstrip("#-"))
            octave = octave - 1 if pitch[1].islower() else -octave
            sharps = pitch[2].count("#") - pitch[2].count("-")
            notes.append(Note(_MIDDLE_C + 12 * octave + _KEYS[letter] + sharps, place, end))
    return notes, end
