"""A whole small run: what it leaves, that it can be repeated, loaded and drawn from, and how it stops."""

import contextlib
import io
import json
import math
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest

import genjax_models as gx
from experiments import autoencoder, sample, vae
from genjax_models.errors import InputError
from genjax_models.runs import checkpoints, experiment
from genjax_models.runs.command_line import main
from genjax_models.runs.configuration import Optimizer, Training
from genjax_models.runs.fit import evaluation_key
from genjax_models.types import Objective

ROOT = Path(__file__).parent.parent.parent
SMALL = "--hidden 16 --batch-size 10 --evaluate-every 10 --log-every 5 --warmup 0 --learning-rate 0.03"


def start(data, run, *more, of=vae.EXPERIMENT):
    return main(of, ["--data", str(data), "--run-dir", str(run), *SMALL.split(), *more])


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vae") / "run"
    assert start(files / "images.npz", folder, "--steps", "25") == 0
    return folder


@pytest.fixture(scope="module")
def plain(files, tmp_path_factory):
    """What has no picture: vectors without labels, one latent dimension; and no step at all."""
    folder = tmp_path_factory.mktemp("vae") / "plain"
    options = "--steps 0 --latent 1 --likelihood gaussian --posterior full_covariance"
    assert start(files / "vectors.npz", folder, *options.split()) == 0
    return folder


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def result(run):
    return json.loads((run / "result.json").read_text())


def test_a_run_leaves_all_that_its_directory_promises(run):
    files = {"config.json", "environment.json", "metrics.jsonl", "result.json", "report.html", "figures", "checkpoints"}
    assert {path.name for path in run.iterdir()} == files | {".lock"}
    drawn = {path.stem for path in (run / "figures").iterdir()}
    assert {"samples_00000000", "samples_00000010", "samples_00000020", "samples_00000025"} <= drawn
    named = {"samples", "learning", "curves", "reconstructions", "manifold", "latent_space", "kl_by_dimension"}
    assert named <= drawn
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (run / "figures").glob("*.png"))
    kept = sorted(int(path.name) for path in (run / "checkpoints").iterdir())
    assert kept == sorted({result(run)["test"]["step"], 20, 25})


def test_the_config_is_the_one_that_was_asked_for(run, files):
    config = experiment.directory.read_config(run, vae.Config, "vae")
    assert config == vae.Config(
        data=str(files / "images.npz"),
        hidden=(16,),
        training=Training(25, 10, 10, 5),
        optimizer=Optimizer(0.03, "cosine"),
        shape=(8, 8, 1),
    )


def test_the_history_is_on_disk_row_by_row(run):
    seen = [(row["split"], row["step"]) for row in rows(run)]
    assert sorted(seen) == [("train", step) for step in (5, 10, 15, 20, 25)] + [
        ("validation", step) for step in (0, 10, 20, 25)
    ]
    for row in rows(run):
        if row["split"] == "validation":
            assert row["bound"] == pytest.approx(row["reconstruction"] - row["kl"], rel=1e-5)
            assert row["bound_se"] > 0
        else:
            assert row["vae/loss"] == pytest.approx(-row["vae/bound"], rel=1e-5)


def test_the_bound_improves_and_the_best_step_is_reported(run):
    bounds = {row["step"]: row["bound"] for row in rows(run) if row["split"] == "validation"}
    assert bounds[25] > bounds[0] + 5
    assert result(run)["test"]["step"] == max(bounds, key=bounds.get)


def test_an_equal_run_elsewhere_writes_the_same_metrics_byte_for_byte(run, files, tmp_path):
    assert start(files / "images.npz", tmp_path / "other", "--steps", "25") == 0
    assert (tmp_path / "other" / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()
    assert result(tmp_path / "other")["test"] == result(run)["test"]
    names = {name.split("/")[-1] for row in rows(run) for name in row}
    assert names == {
        *("step", "split", "loss", "bound", "reconstruction", "kl", "kl_weight"),
        *("bound_se", "reconstruction_se", "kl_se"),
    }


def test_a_loaded_run_has_the_bound_of_its_result(run, files):
    objective, players = vae.load(run)
    data = vae.prepare(*vae.dataset(experiment.directory.read_config(run, vae.Config)))
    model = vae.build_model(experiment.directory.read_config(run, vae.Config))
    bound = jax.jit(lambda key, x: gx.held_out_bound(model, players["vae"], key, x))(evaluation_key(), data.test.x)
    bound = np.asarray(bound["bound"], np.float64)
    said = result(run)["test"]
    assert said["split"] == "test"
    assert said["bound"] == pytest.approx(bound.mean(), rel=1e-5)
    assert said["bound_se"] == pytest.approx(bound.std(ddof=1) / math.sqrt(len(bound)), rel=1e-4)
    draws = objective.sample(players, jax.random.key(0), 3)
    assert draws.shape == (3, 8, 8, 1)
    assert set(np.unique(draws)) <= {0.0, 1.0}


def test_the_report_shows_the_result(run):
    page, said = (run / "report.html").read_text(), result(run)
    assert f"{said['test']['bound']:.2f} ± {said['test']['bound_se']:.2f}" in page
    assert all(finding.split(":")[0] in page for finding in said["findings"])
    assert page.count("data:image/png;base64,") == 7
    assert "python -m experiments.vae" in page
    assert str(run) in page


def test_another_experiment_does_not_load_the_run(run):
    with pytest.raises(InputError, match="'vae', not of 'autoencoder'"):
        autoencoder.load(run)


def test_fault_23_a_run_of_no_steps_on_vectors_is_whole_too(plain):
    assert [(row["step"], row["split"]) for row in rows(plain)] == [(0, "validation")]
    assert result(plain)["test"]["step"] == 0
    assert (plain / "report.html").read_text().count("data:image/png;base64,") == 1
    _, players = vae.load(plain)
    assert players["vae"]["params"]["generator"]


def pixels(path):
    return matplotlib.image.imread(io.BytesIO(path.read_bytes()))[..., :3].mean(axis=-1)


def drawn(capsys, *arguments):
    assert sample.main([str(argument) for argument in arguments]) == 0
    return sample.Path(capsys.readouterr().out.strip())


def test_sample_draws_images_or_pixels_from_a_finished_run(run, tmp_path, capsys):
    means = drawn(capsys, run, "--n", 9, "--seed", 3)
    assert means == run / "figures" / "sample_3.png"
    draws = drawn(capsys, run, "--n", 9, "--seed", 3, "--show", "draws", "--out", tmp_path / "new" / "draws.png")
    grey = lambda path: np.mean((pixels(path) > 0.02) & (pixels(path) < 0.98))
    assert grey(means) > 0.5  # E[x | z] is a probability
    assert grey(draws) == 0  # x is 0 or 1
    again = drawn(capsys, run, "--n", 9, "--seed", 3, "--out", tmp_path / "again.png")
    other = drawn(capsys, run, "--n", 9, "--seed", 4, "--checkpoint", "last", "--out", tmp_path / "other.png")
    assert again.read_bytes() == means.read_bytes() != other.read_bytes()
    means.unlink()


def test_sample_refuses_what_is_no_image(plain, capsys):
    with pytest.raises(SystemExit, match="2"):
        sample.main([str(plain)])
    assert capsys.readouterr().err == f"error: {plain}: its examples have shape (8,), which is no image\n"


@pytest.fixture(scope="module")
def conditional(files, tmp_path_factory):
    """Given the class, with a posterior whose mean has no closed form."""
    folder = tmp_path_factory.mktemp("vae") / "conditional"
    options = "--steps 200 --conditional --posterior flow --form monte_carlo"
    assert start(files / "images.npz", folder, *options.split()) == 0
    return folder


def test_a_conditional_run_knows_its_classes_and_draws_what_is_asked_for(conditional, tmp_path, capsys):
    assert json.loads((conditional / "config.json").read_text())["config"]["classes"] == 2
    bright = {}  # class 0 is bright above, class 1 below
    for label in (0, 1):
        path = drawn(capsys, conditional, "--label", label, "--n", 1, "--out", tmp_path / f"{label}.png")
        image = pixels(path)
        above, below = np.array_split(image, 2)
        bright[label] = above.mean() - below.mean()
    assert bright[0] > 0.1
    assert bright[1] < -0.1
    assert drawn(capsys, conditional, "--show", "draws", "--n", 4).exists()


@pytest.mark.parametrize(
    ("which", "label", "message"),
    [
        ("conditional", 2, "the classes of .* are 0 to 1"),
        ("conditional", -1, "the classes of .* are 0 to 1"),
        ("run", 0, "the model in .* is not conditional on a class"),
    ],
)
def test_fault_10_a_class_that_does_not_exist_cannot_be_drawn(which, label, message, request):
    with pytest.raises(InputError, match=f"^--label {label}: {message}"):
        sample.draw(sample.Sample(run=request.getfixturevalue(which), label=label))


def test_a_conditional_model_wants_labels(files):
    with pytest.raises(InputError, match=r"the class of each example, and .*vectors\.npz has no labels"):
        vae.dataset(vae.Config(data=str(files / "vectors.npz"), conditional=True))


def failing_at(failing_step):
    """The experiment, with a loss that is nan at one step."""

    def build(config):
        objective = vae.build(config)

        def loss(variables, key, batch, step):
            value, aux = objective.losses["vae"](variables, key, batch, step)
            return jnp.where(step == failing_step, jnp.nan, value), aux

        return Objective(objective.init, {"vae": loss}, objective.sample)

    return vae.EXPERIMENT._replace(build=build)


@pytest.fixture(scope="module")
def failed(files, tmp_path_factory):
    """A run that stops at step 10, where it was just evaluated; with its exit status and what it said."""
    folder, said = tmp_path_factory.mktemp("vae") / "failed", io.StringIO()
    with contextlib.redirect_stderr(said), pytest.raises(SystemExit) as stop:
        start(files / "images.npz", folder, "--steps", "25", of=failing_at(10))
    return folder, stop.value.code, said.getvalue()


def test_a_loss_that_is_not_finite_ends_the_run_with_its_last_finite_state_saved(failed):
    folder, status, said = failed
    assert status == 1
    assert said.splitlines()[-1].startswith("error: step 10: vae/loss")
    _, players = experiment.load(vae.EXPERIMENT, folder, "last")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(players))
    assert max(int(path.name) for path in (folder / "checkpoints").iterdir()) == 10
    assert not (folder / "result.json").exists()


def test_saving_the_last_finite_state_does_not_forget_that_it_was_the_best(failed):
    folder, _, _ = failed
    bounds = {row["step"]: row["bound"] for row in rows(folder) if row["split"] == "validation"}
    assert max(bounds, key=bounds.get) == 10
    assert checkpoints.read_manifest(folder / "checkpoints" / "00000010")["score"] == bounds[10]


CHOICES = [
    {"posterior": "full_covariance", "latent": 3},
    {"likelihood": "gaussian", "data": "grey", "scale": "isotropic"},
    {"likelihood": "gaussian", "data": "vectors", "scale": "diagonal", "form": "entropy"},
    {"likelihood": "gaussian", "data": "colours", "scale": 0.3, "network": "convolutional"},
    {"likelihood": "gaussian", "data": "negative", "data_range": (-1.0, 1.0), "kl_warmup": 5},
    {"likelihood": "gaussian", "scale": "diagonal", "network": "convolutional"},
    {
        "likelihood": "discretised_logistic",
        "data": "colours",
        "network": "convolutional",
        "posterior": "full_covariance",
    },
    {"network": "convolutional", "channels": (4, 8, 16, 32), "hidden": ()},
    {"form": "entropy", "num_samples": 3},
    {"form": "monte_carlo", "posterior": "full_covariance"},
    {"form": "monte_carlo", "posterior": "flow", "num_samples": 2},
    {"conditional": True, "free_bits": 0.1},
    {"conditional": True, "network": "convolutional"},
    {"binarise": "fixed", "latent": 1},
    {"binarise": "threshold", "hidden": ()},
    {"binarise": "none", "kl_weight": 4.0, "kl_warmup": 10},
]


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: ",".join(map(str, choice.values())))
def test_every_choice_builds_a_step_an_evaluation_and_images(choice, files):
    choice = {"hidden": (16,), "channels": (4,), **choice, "data": str(files / f"{choice.get('data', 'images')}.npz")}
    asked = vae.Config(**choice, training=Training(batch_size=10))
    assert "player      vae: " in experiment.dry_run(vae.EXPERIMENT, asked)
    config, dataset = vae.dataset(asked)
    data = vae.prepare(config, dataset)
    trainer = gx.trainer(vae.build(config), {"vae": config.optimizer.build(10)})

    def everything(key, example, batch):
        state = trainer.init(key, example)
        moved, metrics = trainer.step(state, data.each_step(key, batch))
        assert jax.tree.map(jnp.shape, moved) == jax.tree.map(jnp.shape, state)
        players = moved.variables
        return metrics, vae.evaluate(config)(players, key, data.validation), vae.images(config)(players, key, 5)

    batch = jax.tree.map(lambda a: a[:10], data.train)
    metrics, held_out, images = jax.eval_shape(everything, jax.random.key(0), data.example, batch)
    assert {"vae/loss", "vae/bound", "vae/kl", "vae/reconstruction"} <= set(metrics)
    assert all(value.shape == () for value in metrics.values())
    assert {value.shape for value in held_out.values()} == {(len(data.validation.x),)}
    assert images.shape == (5, *config.shape)


def test_the_kl_weight_rises_over_its_warmup(files):
    config = vae.Config(data=str(files / "images.npz"), hidden=(4,), kl_weight=2.0, kl_warmup=10)
    config, dataset = vae.dataset(config)
    data = vae.prepare(config, dataset)
    objective = vae.build(config)
    players = jax.jit(objective.init)(jax.random.key(0), data.example)
    loss = jax.jit(objective.losses["vae"])
    for step, weight in ((0, 0), (5, 1), (10, 2), (1000, 2)):
        value, aux = loss(players, jax.random.key(1), data.validation, jnp.int32(step))
        assert float(aux.metrics["kl_weight"]) == pytest.approx(weight)
        expected = weight * aux.metrics["kl"] - aux.metrics["reconstruction"]
        assert float(value) == pytest.approx(float(expected), rel=1e-5)


def test_fault_52_a_reader_who_goes_away_stops_nothing(files, tmp_path):
    """Standard output and standard error are pipes that nobody reads, as behind `| head`."""
    command = [sys.executable, "-W", "ignore", "-m", "experiments.vae", "--data", str(files / "images.npz")]
    command += ["--hidden", "8", "--batch-size", "10", "--steps", "5", "--run-dir", str(tmp_path / "run")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    process.stderr.close()
    assert process.wait(timeout=120) == 0
    assert (tmp_path / "run" / "report.html").is_file()
