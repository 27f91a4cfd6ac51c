"""Names of subfolders that are splits: train and test, and the other words for them."""

import re

_WORDS = {
    "train": ("train", "training", "trn"),
    "validation": ("validation", "valid", "val", "validate", "validating", "dev", "devel", "development"),
    "test": ("test", "testing", "tst", "holdout", "heldout"),
    "either": ("eval", "evaluation", "evaluate"),  # the test split, or the validation split beside a test split
}
_SPLITS = {word: split for split, words in _WORDS.items() for word in words}
_OTHERS = set(
    "set data dataset split image images img imgs picture pictures photo photos file files sample samples example"
    " examples x the all".split()
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_HELD_OUT = re.compile(r"(hold|held)[\W_]*out", re.IGNORECASE)
_SUFFIX = re.compile(r"(set|data|images|imgs|split)$")


def splits_of(folders: list[bytes]) -> dict[bytes, str]:
    """Returns the split that a folder's name says, "train", "validation" or "test"; other names are left out.

    Small and capital letters, digits, and words such as "set", "data" and "images" do not matter: `Training-Set`,
    `val2017` and `test_images` are names of splits.
    """
    splits = {folder: _split(_words(folder)) for folder in folders}
    other = "validation" if "test" in splits.values() else "test"
    return {folder: other if split == "either" else split for folder, split in splits.items() if split}


def seem_splits(folders: list[bytes]) -> bool:
    """Returns whether some names have a word for training, and others a word for held-out data: seg_train, seg_test."""
    words = [{_SPLITS[word] for word in _words(folder) if word in _SPLITS} for folder in folders]
    train = [i for i, found in enumerate(words) if "train" in found]
    held_out = [i for i, found in enumerate(words) if found - {"train"}]
    return bool(train) and bool(set(held_out) - set(train))


def _words(name: bytes) -> list[str]:
    """Returns the words of a name, in small letters; `trainSet` and `trainset` have two."""
    text = _HELD_OUT.sub("holdout", name.decode("utf-8", "backslashreplace"))
    words = [word.lower() for word in _WORD.findall(text)]
    return [_SUFFIX.sub("", word) if _SUFFIX.sub("", word) in _SPLITS else word for word in words]


def _split(words: list[str]) -> str | None:
    splits = [_SPLITS[word] for word in words if word in _SPLITS]
    alone = len(splits) == 1 and all(word in _SPLITS or word in _OTHERS for word in words)
    return splits[0] if alone else None
