"""A whole small run of the pyramid of adversarial networks: pictures of every level, and what has no pyramid."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from experiments import lapgan, sample
from genjax_models.data.padding import without_margin
from genjax_models.errors import InputError
from genjax_models.estimators.laplacian_pyramid import downsample
from genjax_models.runs import directory
from genjax_models.runs.command_line import main
from genjax_models.runs.configuration import Game, Training

OPTIONS = (
    "--pad-to 12 --levels 2 --hidden 8 --latent 3 --channels 4 --discriminator-channels 4 4 --steps 4 --batch-size 8"
    " --evaluate-every 2 --log-every 2 --conditional --average 0.5"
)


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lapgan") / "run"
    data = ["--data", str(files / "images.npz"), "--run-dir", str(folder)]
    assert main(lapgan.EXPERIMENT, [*data, *OPTIONS.split()]) == 0
    return folder


def test_a_run_leaves_result_report_and_pictures(run):
    test = json.loads((run / "result.json").read_text())["test"]
    assert np.isfinite(test["kernel_distance_on_pixels"])
    assert "kernel distance on pixels" in (run / "report.html").read_text()
    drawn = {path.stem for path in (run / "figures").iterdir()}
    levels = {"coarse_to_fine", "refined", "pyramid"}
    assert levels | {"samples", "learning", "curves", "neighbours", "samples_00000004"} <= drawn
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    players = {key.split("/")[0] for row in rows for key in row if "/" in key}
    assert players == {f"{role}_{level}" for role in ("discriminator", "generator") for level in (0, 1)}


def test_a_loaded_run_draws_images_of_the_asked_class_coarse_to_fine(run):
    objective, players = lapgan.load(run)
    config = directory.read_config(run, lapgan.Config, "lapgan")
    assert (config.shape, config.size, config.classes) == ((12, 12, 1), (8, 8), 2)
    model = lapgan.build_model(config)
    fine, coarse = model.sample_levels(players, jax.random.key(0), 3, label=1)
    np.testing.assert_allclose(downsample(fine), coarse, atol=1e-6)
    np.testing.assert_array_equal(objective.sample(players, jax.random.key(0), 3, label=jnp.ones(3, int)), fine)
    in_turn = lapgan.images(config)(players, jax.random.key(0), 4)
    asked = lapgan.images(config)(players, jax.random.key(0), 4, label=jnp.arange(4) % 2)
    np.testing.assert_array_equal(in_turn, asked)
    assert np.abs(in_turn).max() <= 1
    assert np.abs(in_turn - lapgan.images(config)(players, jax.random.key(0), 4, label=1)).max() > 1e-6


def test_the_result_is_that_of_the_loaded_players(run):
    _, players = lapgan.load(run)
    config = directory.read_config(run, lapgan.Config, "lapgan")
    data = lapgan.prepare(*lapgan.dataset(config))
    assert data.test.x.shape == (6, 12, 12, 1)
    assert np.all(np.asarray(data.test.x[:, :2]) == -1)
    assert np.abs(without_margin(data.test.x, 8, 8)).max() > 0.9
    found = jax.jit(lapgan.evaluate(config))(players, gx.runs.fit.evaluation_key(), data.test)
    test = json.loads((run / "result.json").read_text())["test"]
    for name, value in found.items():
        assert test[name] == pytest.approx(float(value), rel=1e-4, abs=1e-6)


def test_sample_draws_from_the_run(run, tmp_path, capsys):
    assert sample.main([str(run), "--n", "4", "--label", "1", "--out", str(tmp_path / "four.png")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'four.png'}\n"


def test_one_optimizer_moves_all_discriminators_and_one_all_generators():
    small = {"hidden": (4,), "channels": (), "discriminator_channels": (2,)}
    config = lapgan.Config(levels=2, game=Game(1, 1e-9, 0.0), shape=(2, 2, 1), **small)
    train = lapgan.trainer(config, lapgan.build(config))
    batch = gx.Batch(jax.random.uniform(jax.random.key(0), (8, 2, 2, 1)))
    state = jax.jit(train.init)(jax.random.key(1), batch)
    after, _ = jax.jit(train.step)(state, batch)
    for player, before in state.variables.items():
        change = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), after.variables[player]["params"], before["params"])
        assert (max(jax.tree.leaves(change)) > 1e-5) == player.startswith("discriminator")


def test_colours_and_one_level_build_a_step_and_an_evaluation(files):
    for levels in (1, 2):
        config = lapgan.Config(
            data=str(files / "colours.npz"), pad_to=None, levels=levels, discriminator_channels=(4,),
            training=Training(0, 10),
        )  # fmt: skip
        config, dataset = lapgan.dataset(config)
        data = lapgan.prepare(config, dataset)
        train = lapgan.trainer(config, lapgan.build(config))
        state = jax.eval_shape(train.init, jax.random.key(0), data.example)
        _, metrics = jax.eval_shape(train.step, state, data.validation)
        assert f"generator_{levels - 1}/loss" in metrics
        values = jax.eval_shape(lapgan.evaluate(config), state.variables, jax.random.key(0), data.validation)
        assert "kernel_distance_on_pixels" in values


def test_digits_are_judged_without_their_margin_by_the_classifier_of_digits():
    config, dataset = lapgan.dataset(lapgan.Config(conditional=True, hidden=(4,), channels=(), levels=3))
    assert (config.shape, config.size, config.classes) == ((32, 32, 1), (28, 28), 10)
    assert lapgan._middle(config, jnp.zeros((2, 32, 32, 1))).shape == (2, 28, 28, 1)
    data = lapgan.prepare(config, dataset)
    players = jax.eval_shape(lapgan.build(config).init, jax.random.key(0), data.example)
    values = jax.eval_shape(lapgan.evaluate(config), players, jax.random.key(0), data.validation)
    assert values["class_accuracy"].shape == (1_000,)
    assert {"kernel_distance_on_pixels", "kernel_distance_on_mnist_classifier"} <= set(values)


@pytest.mark.parametrize(
    ("data", "fields", "message"),
    [
        ("images.npz", {"pad_to": 9}, "levels 3 with 2 .* multiples of 8, got 9 x 9 from .*pad_to sets smaller"),
        ("images.npz", {"levels": 5, "pad_to": 12, "discriminator_channels": (4,)}, "multiples of 16, got 12 x 12"),
        ("vectors.npz", {}, r"data must be images, got examples of shape \(8,\)"),
        ("grey.npz", {"conditional": True}, "wants the class of each example, and .*grey.npz has no labels"),
    ],
)
def test_what_has_no_pyramid_or_no_class_is_refused(files, data, fields, message):
    config = lapgan.Config(**{"data": str(files / data), **fields})
    with pytest.raises(InputError, match=message):
        lapgan.dataset(config)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"levels": 0}, "levels must be an integer of at least 1, got 0"),
        ({"levels": -1}, "levels must be an integer of at least 1, got -1"),
        ({"pad_to": 0}, "pad_to must be an integer of at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"discriminator_channels": ()}, "discriminator_channels must name at least one layer"),
        ({"game": Game(discriminator_moves=5)}, "multiple of 5, the discriminator_moves"),
    ],
)
def test_a_config_that_makes_no_game_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        lapgan.Config(**fields)
