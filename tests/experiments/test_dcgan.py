"""Deep convolutional adversaries from the command line: judged, drawn and refused."""

import json

import jax
import pytest
from PIL import Image

from experiments import conditional_gan, dcgan, judging, sample
from genjax_models.runs.command_line import main

TINY = "--channels 4 --latent 3 --steps 2 --batch-size 8 --evaluate-every 2 --log-every 1"


def run(experiment, folder, *flags):
    return main(experiment, [*flags, *TINY.split(), "--run-dir", str(folder)])


@pytest.fixture(scope="module")
def conditional(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("conditional_gan") / "run"
    assert run(conditional_gan.EXPERIMENT, folder, "--data", str(files / "images.npz")) == 0
    return folder


def test_a_conditional_run_is_judged_and_its_classes_can_be_asked_for(conditional):
    result = json.loads((conditional / "result.json").read_text())["test"]
    assert {"kernel_distance_on_pixels", "kernel_distance_on_pixels_se"} <= set(result)
    assert result["kernel_distance"] == result["kernel_distance_on_pixels"]  # no classifier is shipped for these
    for name in ("samples", "neighbours"):
        with Image.open(conditional / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 50
    assert sample.main([str(conditional), "--n", "4", "--label", "1"]) == 0
    _, players = conditional_gan.load(conditional)
    assert set(players) == {"discriminator", "generator"}


def test_no_classifier_is_shipped_for_other_data_and_features_are_pixels():
    assert judging.classifier_of("photos", (-1, 1)) is None
    assert judging.features_of("photos", (-1, 1)).name == "pixels"
    assert judging.features_of("mnist10k", (-1, 1)).name == "mnist_classifier"


def test_runs_are_judged_as_a_classifier_sees_them_where_there_is_one():
    x = jax.random.uniform(jax.random.key(0), (2, 40, 28, 28, 1), minval=-1)
    found = jax.jit(lambda samples, x: judging.followed(samples, x, "mnist10k", (-1, 1)))(*x)
    assert found["kernel_distance"] == found["kernel_distance_on_mnist_classifier"]
    assert found["kernel_distance_se"] == found["kernel_distance_on_mnist_classifier_se"]
    assert found["kernel_distance"] != found["kernel_distance_on_pixels"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data", "grey.npz", "--conditional"], "wants the class of each example"),
        (["--data", "images.npz", "--channels", "4", "4", "4", "4"], "multiples of 16, got (8, 8)"),
        (["--data", "vectors.npz"], "convolutions are of images"),
        (["--penalty", "r1"], 'penalty r1 wants a slope for each example, and normalisation "batch"'),
        (["--dropout", "1"], "dropout must be in [0, 1)"),
        (["--discriminator-moves", "0"], "discriminator_moves must be an integer of at least 1"),
        (["--discriminator-moves", "3"], "batch_size must be a multiple of 3"),
        (["--average", "1"], "average must be in [0, 1)"),
    ],
)
def test_bad_input_is_one_line(files, tmp_path, capsys, flags, message):
    flags = [str(files / flag) if flag.endswith(".npz") else flag for flag in flags]
    with pytest.raises(SystemExit) as stop:
        main(dcgan.EXPERIMENT, [*TINY.split()[4:], *flags, "--run-dir", str(tmp_path / "run")])
    said = capsys.readouterr().err
    assert (stop.value.code, said.count("\n")) == (2, 1)
    assert message in said
