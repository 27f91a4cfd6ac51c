"""Japanese vowels (Kudo, Toyama and Shimbo, 1999): real speech, read from the files of the package aeon.

The package is not imported, and nothing of its files is shipped.
"""

import math
from pathlib import Path

import numpy as np

from genjax_models.data.dataset import Dataset
from genjax_models.data.installed import folder_of
from genjax_models.data.sequences import from_sequences
from genjax_models.errors import InputError

_FOLDER = Path("datasets/data/JapaneseVowels")
_SPEAKERS = 9


def japanese_vowels() -> Dataset:
    """Returns 640 utterances of two vowels by nine speakers, float32 `[time, 12]` of 7 to 29 steps, with the speaker.

    Training and validation are 243 and 27 of the official 270 training utterances, three of each speaker for
    validation; test is the official 370. The unit of each coefficient is its standard deviation over all steps of the
    270, from its mean: nats in the coefficients' own units differ by a constant.

    Raises:
      InputError: aeon is not installed, or has other files.
    """
    folder = folder_of("aeon", user="japanese_vowels", extra="speech") / _FOLDER
    files = (folder / f"JapaneseVowels_{split}.ts" for split in ("TRAIN", "TEST"))
    (official, speakers), (test, of_test) = map(_utterances, files)
    steps = np.concatenate(official)
    in_units = lambda x: (x - steps.mean(axis=0)) / steps.std(axis=0)
    held_out = np.zeros(len(speakers), bool)
    for speaker in np.unique(speakers):
        rows = np.flatnonzero(speakers == speaker)
        held_out[np.random.RandomState(speaker).permutation(rows)[: len(rows) // 10]] = True
    train, validation, test = (
        list(map(in_units, utterances))
        for utterances in (
            [official[i] for i in np.flatnonzero(~held_out)],
            [official[i] for i in np.flatnonzero(held_out)],
            test,
        )
    )
    highest = math.ceil(max(abs(x).max() for x in train + validation + test))
    provenance = (
        "Japanese Vowels (Kudo, Toyama and Shimbo, 1999) from the package aeon; a tenth of each speaker's training"
        " utterances is validation; coefficients in standard deviations of the official training utterances"
    )
    return from_sequences(
        train,
        validation,
        test,
        range=(-highest, highest),
        labels=(speakers[~held_out], speakers[held_out], of_test),
        class_names=[f"speaker {i + 1}" for i in range(_SPEAKERS)],
        name="japanese_vowels",
        provenance=provenance,
    )


def _utterances(file: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Returns utterances `[time, 12]` and their speakers, from 0; a line is twelve lists and the speaker, from 1."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        fields = [line.split(":") for line in lines if line.strip() and line[0] not in "#@"]
        utterances = [np.array([one.split(",") for one in coefficients], np.float32).T for *coefficients, _ in fields]
        return utterances, np.array([int(speaker) - 1 for *_, speaker in fields])
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({error}); japanese_vowels need the files of aeon 1.6") from error
