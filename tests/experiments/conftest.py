"""Small data files of each kind."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A folder of small data sets; those that are no good have the reason for a name."""
    folder, random = tmp_path_factory.mktemp("files"), np.random.RandomState(0)
    x = random.randint(0, 256, (60, 8, 8)).astype(np.uint8)
    grey = (x / 255).astype(np.float32)
    nan = grey.copy()
    nan[7, 1, 1] = np.nan
    bars = np.zeros((60, 8, 8), np.uint8)  # something to learn: class 0 is bright above, class 1 below
    bars[::2, :4], bars[1::2, 4:] = 250, 250
    bars += random.randint(0, 6, bars.shape).astype(np.uint8)  # no two alike, as splits want
    arrays = {
        "images": {"x": bars, "y": np.arange(60) % 2},
        "grey": {"x": grey[..., None]},
        "colours": {"x": random.randint(0, 256, (60, 8, 8, 3)).astype(np.uint8)},
        "factors": {"x": x[..., None], "factors": random.uniform(size=(60, 2)).astype(np.float32)},
        "constant_factor": {"x": x[..., None], "factors": np.ones((60, 2), np.float32)},
        "cutouts": {
            "x": random.randint(0, 256, (60, 8, 8, 4)).astype(np.uint8),
            "y": np.arange(60) % 3,
            "factors": random.uniform(-1, 1, (60, 2)).astype(np.float32),
        },
        "rank_3": {"x": grey},
        "sequences": {"x": x[:, :6, :5] > 127, "length": 6 - np.arange(60) % 3, "y": np.arange(60) % 2},
        "whole_sequences": {"x": x[:, :6, :5] > 127, "length": np.full(60, 6)},
        "real_sequences": {"x": grey[:, :6, :3], "length": 6 - np.arange(60) % 3},
        "vectors": {"x": grey[:, 0]},
        "negative": {"x": 2 * grey[..., None] - 1},
        "too_large": {"x": x[..., None].astype(np.float32)},
        "nan": {"x": nan[..., None]},
        "pickled": {"x": np.array([{"a": 1}] * 60, dtype=object)},
        "channels_first": {"x": random.randint(0, 256, (60, 3, 8, 8)).astype(np.uint8)},
        "few": {"x": x[:9]},
        "other_keys": {"pixels": x},
    }
    for name, values in arrays.items():
        np.savez(folder / f"{name}.npz", **values)
    whole = (folder / "images.npz").read_bytes()
    (folder / "truncated.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("no data")
    return folder
