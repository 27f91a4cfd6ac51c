"""The classifier learns, shows its hardest images first, and is shipped in sixteen bits."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from experiments import classifier
from experiments.studies.ship_classifier import ship
from genjax_models.commands.train import main
from genjax_models.networks.classifier import ConvolutionalClassifier
from tests.experiments.support import built

OPTIONS = (
    "--channels 4 --width 8 --dropout 0.1 --shift 1 --flip --steps 60 --batch-size 10 --evaluate-every 20"
    " --log-every 20 --learning-rate 0.01"
)


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier") / "run"
    data = ["--data", str(files / "images.npz"), "--run-dir", str(folder)]
    assert main(classifier.EXPERIMENT, [*data, *OPTIONS.split()]) == 0
    return folder


@pytest.mark.slow
def test_a_run_predicts_the_classes_and_its_hardest_images_come_first(run):
    assert json.loads((run / "result.json").read_text())["test"]["accuracy"] == 1  # bars above or below
    loaded = gx.load_run(run, data=True)
    network = ConvolutionalClassifier((8, 8, 1), 2, (4,), 8, 0.1)
    logits = lambda x: network.apply(loaded.players["classifier"], x)
    assert np.mean(jnp.argmax(logits(loaded.data.test.x), axis=1) == loaded.data.test.label) == 1
    hardest = jax.jit(lambda players: loaded.system.draw(players, None, 4))(loaded.players)
    x, label = loaded.data.validation.x, loaded.data.validation.label
    log_p = jax.nn.log_softmax(logits(x))[np.arange(len(x)), label]
    np.testing.assert_array_equal(hardest, x[jnp.argsort(log_p)[:4]])


@pytest.mark.slow
def test_the_shipped_file_is_the_network_in_sixteen_bits(run, tmp_path):
    for name in ("one.npz", "two.npz"):
        ship(run, tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    params = gx.load_run(run).players["classifier"]["params"]
    with np.load(tmp_path / "one.npz", allow_pickle=False) as shipped:
        np.testing.assert_allclose(shipped["hidden/kernel"], params["hidden"]["kernel"], rtol=1e-3)
        assert {str(shipped[name].dtype) for name in shipped.files} == {"float16"}


def test_held_out_images_are_not_augmented(files):
    flags = ("--data", str(files / "images.npz"), "--shift", "3", "--flip")
    _, dataset, system = built(classifier.EXPERIMENT, *flags)
    np.testing.assert_allclose(system.prepare(dataset).test.x, dataset.test.x / np.float32(255), rtol=1e-6)


def test_a_dry_run_counts_the_parameters(capsys):
    assert main(classifier.EXPERIMENT, ["--dry-run"]) == 0
    assert "player      classifier: 231,466 parameters" in capsys.readouterr().out
