"""Japanese vowels are read from the folder of aeon, which is not imported; a tiny folder stands in for it."""

import importlib.util
import sys

import numpy as np
import pytest

from genjax_models.data import load
from genjax_models.errors import InputError

TRAIN, TEST = 90, 18  # utterances; speakers speak in turn


def utterances(n, seed):
    random = np.random.RandomState(seed)
    return [3 + random.randn(2 + i % 4, 12) * (1 + np.arange(12)) for i in range(n)]


def text(sequences):
    lines = [
        ":".join([*(",".join(f"{value:.6f}" for value in one) for one in x.T), str(1 + i % 9)])
        for i, x in enumerate(sequences)
    ]
    return "\n".join(["#A UCI Archive dataset", "@problemName JapaneseVowels", "@data", *lines, ""])


@pytest.fixture
def aeon(tmp_path, monkeypatch):
    folder = tmp_path / "site" / "aeon" / "datasets" / "data" / "JapaneseVowels"
    folder.mkdir(parents=True)
    (folder / "JapaneseVowels_TRAIN.ts").write_text(text(utterances(TRAIN, 0)), encoding="utf-8")
    (folder / "JapaneseVowels_TEST.ts").write_text(text(utterances(TEST, 1)), encoding="utf-8")
    (tmp_path / "site" / "aeon" / "__init__.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "aeon", raising=False)
    return folder


def test_utterances_are_in_units_of_the_official_training_split(aeon):
    dataset = load("japanese_vowels")
    assert (dataset.kind, dataset.shape, dataset.train.x.dtype, dataset.num_classes) == (
        "sequences",
        (5, 12),
        np.float32,
        9,
    )
    assert [len(split.x) for split in dataset[1:4]] == [81, 9, 18]
    assert np.bincount(dataset.validation.label).tolist() == [1] * 9
    steps = np.concatenate(utterances(TRAIN, 0))
    for i, x in enumerate(utterances(TEST, 1)):
        of_x = dataset.test.x[i, : len(x)] * steps.std(axis=0) + steps.mean(axis=0)
        np.testing.assert_allclose(of_x, x, atol=1e-4)
        assert (dataset.test.length[i], dataset.test.label[i]) == (len(x), i % 9)
        assert not dataset.test.x[i, len(x) :].any()
    scaled = np.concatenate([x[:n] for split in dataset[1:3] for x, n in zip(split.x, split.length, strict=True)])
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-5)


def test_without_aeon_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = r"japanese_vowels need the files of aeon: pip install 'genjax_models\[speech\]', or .* --no-deps aeon"
    with pytest.raises(InputError, match=message):
        load("japanese_vowels")


@pytest.mark.parametrize("content", [None, "@data\n1,2:3,4\n", "@data\n" + ":".join(["1,x"] * 12) + ":1\n"])
def test_other_files_of_aeon_are_named(content, aeon):
    file = aeon / "JapaneseVowels_TEST.ts"
    file.unlink() if content is None else file.write_text(content, encoding="utf-8")
    with pytest.raises(
        InputError, match=r"JapaneseVowels_TEST\.ts: cannot be read .*need the files of aeon 1\.6"
    ) as error:
        load("japanese_vowels")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not importlib.util.find_spec("aeon"), reason="needs the files of aeon")
def test_aeon_has_640_utterances():
    dataset = load("japanese_vowels")
    assert [len(split.x) for split in dataset[1:4]] == [243, 27, 370]
    length = np.concatenate([split.length for split in dataset[1:4]])
    assert (length.min(), length.max(), length.sum()) == (7, 29, 9961)
