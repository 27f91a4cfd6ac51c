"""Every experiment of images takes those that stay on disk, and what is shown of them is what memory would have."""

import dataclasses
import json
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import (
    autoencoder,
    classifier,
    conditional_gan,
    dcgan,
    gmmn,
    gmmn_autoencoder,
    info_vae,
    iwae,
    judging,
    lapgan,
    one_generator_four_objectives,
    vae,
)
from genjax_models.data import load, prepare
from genjax_models.data.records import Records
from genjax_models.errors import InputError
from genjax_models.runs.command_line import main
from genjax_models.runs.configuration import Images

pytest.importorskip("grain")

OF_IMAGES = (
    *(autoencoder, classifier, conditional_gan, dcgan, gmmn, gmmn_autoencoder, info_vae, iwae, lapgan),
    *(one_generator_four_objectives, vae),
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """120 images of 32 x 32 in two classes; nothing is written to the user's own cache."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.RandomState(0)
    for i in range(120):
        (folder / str(i % 2)).mkdir(exist_ok=True)
        Image.fromarray(random.randint(0, 256, (32, 32), np.uint8)).save(folder / str(i % 2) / f"{i:03}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("xdg")))
        yield f"images:{folder}"


@pytest.mark.parametrize("module", OF_IMAGES, ids=lambda module: module.__name__.split(".")[1])
def test_training_images_stay_on_disk(module, images):
    config = dataclasses.replace(module.EXPERIMENT.config(), data=images, images=Images(stream=True))
    config, loaded = module.EXPERIMENT.dataset(config)
    assert isinstance(loaded.train.x, Records)
    assert isinstance(module.EXPERIMENT.prepare(config, loaded).train.x, Records)


def test_a_game_of_streamed_images_is_trained_and_shown(images, tmp_path):
    flags = "--stream --channels 4 --latent 3 --steps 2 --batch-size 8 --evaluate-every 2 --log-every 1"
    run = tmp_path / "run"
    assert main(conditional_gan.EXPERIMENT, ["--data", images, *flags.split(), "--run-dir", str(run)]) == 0
    assert json.loads((run / "result.json").read_text())["seconds"]["waiting"] >= 0
    size = len(load(images).train.x)
    assert f"Samples above the nearest of {size} training images" in (run / "report.html").read_text()


def test_neighbours_on_disk_are_those_in_memory(images, monkeypatch):
    """Read in parts of 16."""
    shown = []
    for stream in (False, True):
        data = prepare(load(images, stream=stream), binarise="none", range=(-1, 1))
        draw = lambda n, data=data: data.seen(np.arange(n) % 7).x + 0.1
        shown.append(judging.neighbours(draw, data, judging.features_of(images, (-1, 1))))
        if not stream:
            monkeypatch.setattr(sys.modules[prepare.__module__], "PART", 16 * 32 * 32)
    assert len(list(data.parts())) > 2
    assert shown[0] == shown[1]


def test_the_parts_are_all_examples_in_their_order(images, monkeypatch):
    monkeypatch.setattr(sys.modules[prepare.__module__], "PART", 50 * 32 * 32)
    data = prepare(load(images, stream=True), binarise="none")
    parts = list(data.parts())
    assert max(len(part.x) for part in parts) == 50
    whole = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    np.testing.assert_allclose(whole.x, np.asarray(data.train.x) / 255, rtol=1e-6)
    np.testing.assert_array_equal(whole.label, data.train.label)


def test_streamed_images_have_no_margin(images):
    with pytest.raises(InputError, match=r"no margin can be put around streamed images.*48 pixels a side"):
        lapgan.dataset(lapgan.Config(data=images, images=Images(stream=True), pad_to=48))
