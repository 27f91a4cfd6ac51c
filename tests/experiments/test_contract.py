"""What every experiment must keep: one table, one set of promises. A new experiment adds one row."""

import html
import importlib
import json
import math
import re
import typing
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import genjax_models as gx
from genjax_models.commands.train import main
from genjax_models.data.records import Records
from genjax_models.errors import InputError
from genjax_models.figures.pictures import drawable
from genjax_models.runs import directory
from genjax_models.runs.evaluation import evaluation_key, summarised
from genjax_models.runs.fields import fields_of, replaced
from genjax_models.runs.protocol import Experiment, likelihood_in_words
from tests.experiments.support import built, refused

FOLDER = Path(__file__).parent.parent.parent / "experiments"
IMAGES = ("--data", "images.npz", "--batch-size", "10")
STEPS = ("--steps", "4", "--evaluate-every", "2", "--log-every", "2")

# experiment -> flags of a run of seconds, and the pictures that it must leave
RUNS = {
    "autoencoder": (
        (
            *IMAGES[:1],
            "colours.npz",
            *IMAGES[2:],
            *"--network convolutional --hidden 16 --channels 4 --latent 3".split(),
        ),
        "samples learning curves reconstructions latent_space",
    ),
    "biggan": (
        (
            *IMAGES,
            *"--channels 8 8 --discriminator-channels 8 8 --latent 3 --shared 3 --average 0.5".split(),
            *"--initial normal --translation 1 --truncations 1".split(),
        ),
        "samples learning curves neighbours truncation statistics interpolation",
    ),
    "chairs": (
        tuple(
            "--data chairs:8 --batch-size 10 --channels 4 4 --hidden 8 --joint 8 --kernel 3 --average 0.5"
            " --turned-channels 4 --grid 4 --features 2".split()
        ),
        "samples learning curves views morphing arithmetic factors checkerboard",
    ),
    "classifier": (
        (*IMAGES, *"--channels 4 --width 8 --dropout 0.1 --shift 1 --flip".split()),
        "samples learning curves latent_space",
    ),
    "colourise": (
        tuple("--data colours.npz --batch-size 10 --channels 4 --hidden 8 --latent 2 --warmup 0".split()),
        "samples learning curves colourings",
    ),
    "conditional_gan": (
        (*IMAGES, *"--channels 4 --latent 3 --average 0.9".split()),
        "samples learning curves neighbours",
    ),
    "dcgan": (
        (*IMAGES, *"--channels 4 --latent 3 --normalisation spectral --penalty r1 --dropout 0.2".split()),
        "samples learning curves neighbours",
    ),
    "disentanglement": (
        (
            *("--data", "factors.npz", *IMAGES[2:]),
            *"--objective factor_vae --discriminator 8 --network mlp --hidden 8 --latent 2 --learning-rate 0.1".split(),
        ),
        "samples learning curves reconstructions manifold latent_space kl_by_dimension readings latent_walk",
    ),
    "draw": (
        (*IMAGES, *"--hidden 4 --latent 2 --glimpses 3 --attention 2 3 --warmup 0".split()),
        "samples learning curves canvases kl_by_step reconstructions latent_space",
    ),
    "faces": (
        tuple("--data cutouts.npz --batch-size 10 --hidden 8 --warmup 0 --evaluate-every 2".split()),
        "samples learning curves reconstructions manifold latent_space kl_by_dimension factors",
    ),
    "gan_mixture": (
        tuple("--hidden 16 --batch-size 40 --loss wasserstein --penalty wasserstein --discriminator-moves 4".split()),
        "samples curves",
    ),
    "gmmn": (
        (*IMAGES, *"--hidden 16 --latent 3 --kernel-variances 0.5 2 8".split()),
        "samples learning curves neighbours",
    ),
    "gmmn_autoencoder": (
        (*IMAGES, *"--hidden 16 --latent 3 --code 4 --autoencoder-hidden 16 --autoencoder-steps 2".split()),
        "samples learning curves neighbours reconstructions",
    ),
    "infinite_mixture": (
        tuple("--hidden 8 --fit finite_mixture --components 3 --batch-size 50 --warmup 0".split()),
        "components draws curves",
    ),
    "info_vae": (
        (*IMAGES, *"--hidden 8 --latent 2 --alpha 0.5 --mmd-weight 20 --warmup 0".split()),
        "samples learning curves reconstructions manifold latent_space kl_by_dimension",
    ),
    "iwae": (
        (*IMAGES, *"--hidden 8 4 --latent 3 2 --layers 2 --num-samples 4 --judge-samples 50".split()),
        "samples learning curves reconstructions latent_space",
    ),
    "lapgan": (
        (
            *IMAGES,
            *"--pad-to 12 --levels 2 --hidden 8 --latent 3 --channels 4 --discriminator-channels 4 4".split(),
            *"--conditional --average 0.5".split(),
        ),
        "samples learning curves neighbours coarse_to_fine refined pyramid",
    ),
    "made": (
        (*IMAGES, *"--hidden 16 --warmup 0".split()),
        "samples learning curves",
    ),
    "multi_prediction": (
        (*IMAGES, *"--hidden 4 3 --sweeps 2 --warmup 0".split()),
        "samples learning curves imputations missing",
    ),
    "one_generator_four_objectives": (
        (*IMAGES, *"--objective iwae --hidden 8 --latent 2 --num-samples 2".split()),
        "samples learning curves neighbours",
    ),
    "pixel_cnn": (
        (*IMAGES, *"--features 2 --layers 1 --warmup 0".split()),
        "samples learning curves",
    ),
    "pixel_vae": (
        (
            *IMAGES,
            *"--hidden 8 --latent 3 --condition-channels 1 --features 2 --decoder-layers 1".split(),
            *"--judge-samples 25 --warmup 0 --kl-warmup 2".split(),
        ),
        "samples learning curves draws_of_one_latent reconstructions latent_space kl_by_dimension",
    ),
    "rbm": (
        (*IMAGES, *"--hidden 4 --chains 10 --sample-sweeps 3 --temperatures 5 --average 0.5".split()),
        "samples learning curves filters",
    ),
    "rivers": (
        (
            *IMAGES[:1],
            "factors.npz",
            *IMAGES[2:],
            *"--hidden 8 --channels 4 --latent 2 --kl-weight 0.1 --warmup 0".split(),
        ),
        "samples learning curves reconstructions manifold latent_space kl_by_dimension readings latent_walk",
    ),
    "self_supervised_boosting": (
        (*IMAGES, *"--features 2 --negatives 10 --sweeps 1 --sample-sweeps 2".split()),
        "samples learning curves stages filters",
    ),
    "vae": (
        (*IMAGES, *"--hidden 16 --warmup 0 --learning-rate 0.03".split()),
        "samples learning curves reconstructions manifold latent_space kl_by_dimension",
    ),
    "vrnn": (
        tuple("--data sequences.npz --batch-size 10 --particles 2 --hidden 4 --latent 2 --warmup 0".split()),
        "curves draws continuations by_step ancestors",
    ),
}


def experiment_of(name) -> Experiment:
    return importlib.import_module(f"experiments.{name}").EXPERIMENT


def with_files(flags, files):
    return [str(files / flag) if flag.endswith(".npz") else flag for flag in flags]


def test_every_experiment_has_a_row():
    modules = {path.stem for path in FOLDER.glob("*.py") if "EXPERIMENT = " in path.read_text()}
    assert modules == set(RUNS)


SLOW = {  # which compile long, or share their wiring with another experiment
    *(
        "multi_prediction",
        "self_supervised_boosting",
        "biggan",
        "pixel_vae",
        "vrnn",
        "draw",
        "iwae",
        "lapgan",
        "colourise",
        "conditional_gan",
        "gmmn_autoencoder",
    ),
    *("one_generator_four_objectives", "info_vae", "chairs", "disentanglement", "rivers", "faces", "classifier"),
    *("infinite_mixture", "gan_mixture", "pixel_cnn", "autoencoder", "rbm", "made"),
}


def frames_of(path):
    with Image.open(path) as film:
        return getattr(film, "n_frames", 1)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in RUNS])
def test_a_run_leaves_its_files_and_is_brought_back_as_it_was(name, files, tmp_path, capsys):
    flags, pictures = RUNS[name]
    experiment, run, flags = experiment_of(name), tmp_path / "run", with_files([*flags, *STEPS], files)
    assert main(experiment, [*flags, "--run-dir", str(run)]) == 0
    printed, progress = capsys.readouterr()
    assert re.search(r"^evaluating [\d,]+ test examples$", progress, re.MULTILINE)

    names = {"config.json", "environment.json", "result.json", "report.html", "figures", "checkpoints", ".lock"}
    assert {path.name for path in run.iterdir()} == names | {"metrics.jsonl", "metrics.csv"}
    assert set(pictures.split()) == {path.stem for path in (run / "figures").glob("*.png") if "_0" not in path.stem}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (run / "figures").glob("*.png"))
    films = {path.stem: frames_of(path) for path in (run / "figures").glob("*.gif")}
    assert ("learning" in films) == ("learning" in pictures.split())
    assert all(frames >= 2 for frames in films.values()), films

    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    metric = experiment.metric
    values = {row["step"]: row[metric.name] for row in rows if row["split"] == "validation"}
    assert list(values) == [0, 2, 4]
    assert [row["step"] for row in rows if row["split"] == "train"] == [2, 4]
    assert all(math.isfinite(value) for row in rows for value in row.values() if isinstance(value, float))
    best = (max if metric.higher_is_better else min)(values, key=values.get)

    test = json.loads((run / "result.json").read_text())["test"]
    assert test["step"] == best
    assert f"held-out {metric.name.replace('_', ' ')}: " in printed
    page = (run / "report.html").read_text()
    assert f"python -m experiments.{name}" in page
    config, dataset, system = built(experiment, *flags)
    words = likelihood_in_words(system, dataset)
    assert [text for _, text in words if text not in html.unescape(page)] == []
    assert page.count("data:image/png;base64,") == len(pictures.split())

    assert directory.read_config_json(run)["experiment"] == f"experiments.{name}"
    loaded = gx.load_run(run, data=True)
    assert loaded.config == config
    assert loaded.objective is loaded.system.objective
    values = jax.jit(loaded.system.evaluate)(loaded.players, evaluation_key(), loaded.data.test)
    for figure, value in summarised(best, "test", values).items():
        assert test[figure] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-3, abs=1e-4)), figure
    draws = jax.jit(lambda players, key: loaded.system.draw(players, key, 5))(loaded.players, jax.random.key(0))
    assert len(draws) == 5
    assert np.isfinite(draws).all()
    last = gx.load_run(run, "last")
    assert int(last.state.step) == 4
    assert last.data is None


# experiment -> flags of further choices, of which shapes are checked and nothing is computed
CHOICES = [
    *(("autoencoder", f"--data {data}.npz") for data in ("images", "grey", "vectors")),
    ("autoencoder", "--data grey.npz --network convolutional --channels 4 4 --precision bfloat16"),
    (
        "chairs",
        "--data cutouts.npz --view joined --channels 4 --kernel 4 --upsampling transposed --average 0 --rotate 0",
    ),
    ("chairs", "--data chairs:8 --view turned --turned-channels 4 --grid 4 --no-mirror --still 0"),
    ("colourise", "--data cutouts.npz --channels 4 --hue 0"),
    ("dcgan", "--data colours.npz --channels 4"),
    (
        "biggan",
        "--data images.npz --channels 4 --discriminator-channels 4 --latent 6 --attention none"
        " --no-hierarchical --head concat --pooling sum --precision bfloat16",
    ),
    ("dcgan", "--data images.npz --channels 4 --conditional --loss hinge --normalisation none"),
    ("dcgan", "--data images.npz --channels 4 --conditional --head projection --normalisation spectral"),
    *(
        ("disentanglement", f"--data factors.npz --network mlp --hidden 8 --objective {o}")
        for o in ("beta_vae", "beta_tcvae", "dip_vae_i", "dip_vae_ii")
    ),
    *(("gmmn", f"--data {data}.npz --hidden 8 --distance unbiased_squared") for data in ("colours", "vectors")),
    ("gmmn_autoencoder", "--data vectors.npz --hidden 8 --autoencoder-hidden 8"),
    ("draw", "--data vectors.npz --likelihood gaussian --no-attention --glimpses 3 --hidden 4 --latent 2"),
    ("infinite_mixture", "--latent 2 --hidden 8 --num-samples 10"),
    ("infinite_mixture", "--fit vae --latent 2 --hidden 8"),
    ("info_vae", "--data vectors.npz --likelihood gaussian --scale diagonal --hidden 8"),
    ("iwae", "--data images.npz --objective vae --hidden 8 4 --latent 3 2 --precision bfloat16"),
    ("iwae", "--data images.npz --hidden 8 4 --latent 3 2 --num-samples 6 --chunk 2 --gradient sticking_the_landing"),
    ("made", "--data vectors.npz --likelihood gaussian --hidden 8 8"),
    ("made", "--data colours.npz --likelihood discretised_logistic --hidden"),
    ("made", "--data images.npz --components 2 --hidden 4"),
    ("pixel_cnn", "--data colours.npz --likelihood logistic_mixture --features 2 --layers 2 --dropout 0.1"),
    ("pixel_vae", "--data grey.npz --network convolutional --channels 4 --features 2 --latent 3 --kl-warmup 0"),
    ("lapgan", "--data colours.npz --pad-to None --levels 1 --discriminator-channels 4"),
    ("lapgan", "--data colours.npz --pad-to None --levels 2 --discriminator-channels 4 --penalty r1"),
    *(
        ("one_generator_four_objectives", f"--data images.npz --objective {o} --hidden 8")
        for o in ("vae", "gan", "gmmn")
    ),
    ("vae", "--data images.npz --posterior full_covariance --latent 3"),
    ("vae", "--data grey.npz --likelihood gaussian --scale isotropic"),
    ("vae", "--data vectors.npz --likelihood gaussian --scale diagonal --form entropy"),
    ("vae", "--data colours.npz --likelihood gaussian --scale 0.3 --network convolutional --channels 4"),
    ("vae", "--data negative.npz --data-range -1 1 --likelihood gaussian --kl-warmup 5"),
    ("vae", "--data colours.npz --likelihood discretised_logistic --network convolutional --channels 4"),
    ("vae", "--data colours.npz --likelihood logistic_mixture --logistics 3 --network convolutional --channels 4"),
    ("vae", "--data images.npz --network convolutional --channels 4 8 16 32 --hidden"),
    ("vae", "--data images.npz --form entropy --num-samples 3"),
    ("vae", "--data images.npz --form monte_carlo --posterior flow --num-samples 2"),
    ("vae", "--data images.npz --conditional --free-bits 0.1"),
    ("vae", "--data images.npz --conditional --network convolutional --channels 4"),
    ("vae", "--data images.npz --binarise fixed --latent 1"),
    ("vae", "--data images.npz --binarise none --kl-weight 4 --kl-warmup 10"),
    ("vae", "--data whole_sequences.npz --hidden 4"),
    ("vrnn", "--data sequences.npz --bound elbo --kl-warmup 2 --hidden 4"),
    ("vrnn", "--data sequences.npz --model dmm --bound iwae --hidden 4"),
    ("vrnn", "--data sequences.npz --model srnn --resampling systematic --score --hidden 4"),
    ("vrnn", "--data real_sequences.npz --particles 1 --hidden 4"),
]

FIRST = {name: (name, flags) for name, flags in reversed(CHOICES)}.values()  # choice of each experiment


@pytest.mark.parametrize(
    ("name", "flags"),
    [pytest.param(*choice, marks=[pytest.mark.slow] * (choice not in FIRST)) for choice in CHOICES],
    ids=[f"{name} {flags}" for name, flags in CHOICES],
)
def test_every_choice_has_a_step_an_evaluation_and_draws(name, flags, files):
    experiment = experiment_of(name)
    config, dataset, system = built(experiment, *with_files([*flags.split(), "--batch-size", "10"], files))
    data = system.prepare(dataset)

    def everything(key, example, batch, held_out):
        state = system.trainer.init(key, example)
        moved, metrics = system.trainer.step(state, data.each_step(key, batch))
        assert jax.tree.map(np.shape, moved) == jax.tree.map(np.shape, state)
        begun = system.trainer.begin(key, moved.variables)  # --start-from
        assert jax.tree.map(np.shape, begun) == jax.tree.map(np.shape, state)
        players = moved.variables
        return metrics, system.evaluate(players, key, held_out), system.draw(players, key, 5)

    batch = jax.tree.map(lambda a: a[:10], data.train)
    metrics, values, draws = jax.eval_shape(everything, jax.random.key(0), data.example, batch, data.validation)
    assert {value.shape for value in metrics.values()} == {()}
    assert {value.shape for value in values.values()} <= {(), (len(data.validation.x),), (10_000,)}
    assert experiment.metric.name in values
    shape = config.data.shape if name != "lapgan" else (*config.data.size, config.data.shape[2])
    assert draws.shape == (5, *shape)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """40 images of 32 x 32 in two classes, and a cache of their own."""
    images, random = tmp_path_factory.mktemp("images"), np.random.RandomState(0)
    for i in range(40):
        (images / str(i % 2)).mkdir(exist_ok=True)
        Image.fromarray(random.randint(0, 256, (32, 32), np.uint8)).save(images / str(i % 2) / f"{i:03}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield images


OF_OTHERS = ("chairs", "colourise", "disentanglement", "faces", "gan_mixture", "infinite_mixture", "rivers", "vrnn")
OF_IMAGES = [name for name in RUNS if name not in OF_OTHERS]  # not of points, known factors, cut-outs or sequences


@pytest.mark.parametrize("name", OF_IMAGES)
def test_streamed_training_images_stay_on_disk(name, folder):
    pytest.importorskip("grain")
    flags = ("--data", f"images:{folder}", "--stream", "--batch-size", "8")
    config, dataset, system = built(experiment_of(name), *flags)
    assert isinstance(dataset.train.x, Records)
    assert isinstance(system.prepare(dataset).train.x, Records)
    assert drawable(config.data.shape)


@pytest.mark.parametrize("name", RUNS)
def test_a_dry_run_prints_its_players_and_writes_nothing(name, files, tmp_path, monkeypatch, capsys):
    flags, _ = RUNS[name]
    flags = with_files(flags, files)
    monkeypatch.chdir(tmp_path)
    assert main(experiment_of(name), [*flags, *STEPS, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")][-2:] == ["memory", "steps"]
    assert any(line.startswith("player      ") and line.endswith(" parameters") for line in lines)
    assert not list(tmp_path.iterdir())


REFUSED = [
    *((name, "--seed -1", "seed must be an integer in [0, 2^32), got -1") for name in RUNS),
    *(
        (name, "--batch-size 999999", "batch_size must be at most")
        for name in RUNS
        if "mixture" not in name and name not in ("disentanglement", "faces", "rivers", "vrnn")
    ),
    *(
        (name, "--data sequences.npz --batch-size 9", "sequences of unequal length need a model of sequences, such as")
        for name in OF_IMAGES
        if name != "lapgan"  # whose margin needs images
    ),
    ("autoencoder", "--network convolutional --data vectors.npz --batch-size 9", "network convolutional needs images"),
    (
        "chairs",
        "--data images.npz",
        "data must be images of 4 channels (red, green, blue, alpha), got examples of shape (8",
    ),
    ("chairs", "--data grey.npz", "needs a label per example, and"),
    ("chairs", "--channels 4 4 4 4 4 4 4", "height and width can be halved 7 times, got 64 x 64 from chairs"),
    (
        "chairs",
        "--data cutouts.npz",
        "view both needs the factors sin azimuth, cos azimuth, sin elevation, cos elevation,",
    ),
    ("chairs", "--features 1", "features must be an integer of at least 2, got 1"),
    ("chairs", "--zoom -0.1", "zoom must be at least 0, got -0.1"),
    ("chairs", "--still 1", "still must be in [0, 1), got 1.0"),
    ("chairs", "--average 1", "average must be in [0, 1), got 1.0"),
    ("biggan", "--data grey.npz", "needs a label per example"),
    (
        "biggan",
        "--data images.npz --channels 8 8 8 8 --discriminator-channels 8 8 8 8 --latent 5 --batch-size 9",
        "multiples of 16",
    ),
    ("biggan", "--data images.npz --attention 14 --batch-size 9", "one of [4, 8], got 14"),
    ("biggan", "--channels 4 8 --batch-size 9", "attention needs at least 8 channels"),
    ("biggan", "--latent 61", "latent must be a multiple of 3, the blocks plus 1, got 61"),
    ("biggan", "--discriminator-channels 8", "discriminator_channels must name at least 2 blocks"),
    ("biggan", "--channels", "channels must name at least one block, got none"),
    ("biggan", "--orthogonal -1", "orthogonal must be at least 0, got -1.0"),
    ("biggan", "--translation -1", "translation must be an integer of at least 0, got -1"),
    ("biggan", "--truncations 0", "truncations must be positive and finite, got 0.0"),
    ("dcgan", "--head projection", "head projection needs a conditional model"),
    ("colourise", "--data grey.npz", "data must be red, green and blue, got 1 channels from"),
    ("colourise", "--hue -1", "hue must be at least 0, got -1.0"),
    ("colourise", "--channels", "channels must name at least one level, got none"),
    ("classifier", "--data grey.npz", "needs a label per example, and"),
    ("classifier", "--data vectors.npz", ""),
    ("classifier", "--dropout 1", "dropout must be in [0, 1), got 1.0"),
    ("classifier", "--shift -1", "shift must be an integer of at least 0, got -1"),
    ("dcgan", "--data grey.npz --conditional", "needs a label per example"),
    ("dcgan", "--data images.npz --channels 4 4 4 4 --batch-size 9", "multiples of 16, got (8, 8)"),
    ("dcgan", "--data vectors.npz --batch-size 9", "images"),
    ("dcgan", "--penalty r1", "penalty r1 excludes normalisation batch"),
    ("dcgan", "--label-smoothing 1", "label_smoothing must be in [0, 1)"),
    ("dcgan", "--discriminator-moves 3", "batch_size must be a multiple of 3"),
    ("dcgan", "--average 1", "average must be in [0, 1)"),
    (
        "disentanglement",
        "--data images.npz --batch-size 9",
        "data must have known factors, as rivers and sprites have, got ",
    ),
    ("disentanglement", "--strength -1", "strength must be at least 0, got -1.0"),
    ("disentanglement", "--discriminator 0", "discriminator must be an integer of at least 1, got (0,)"),
    ("draw", "--glimpses 0", "glimpses must be an integer of at least 1, got 0"),
    ("draw", "--attention 1 5", "attention must be an integer of at least 2, got (1, 5)"),
    ("draw", "--data images.npz --batch-size 9 --attention 2 9", "`write_size` must be at most 8 for images of 8 x 8"),
    ("draw", "--data colours.npz --batch-size 9", "attention needs images of one channel"),
    ("gan_mixture", "--discriminator-moves 0", "discriminator_moves must be an integer of at least 1, got 0"),
    ("gan_mixture", "--generator-learning-rate 0", "generator_learning_rate must be positive and finite, got 0.0"),
    ("gan_mixture", "--penalty-weight -1", "penalty_weight must be at least 0, got -1.0"),
    ("gan_mixture", "--loss minmax", "minmax"),
    ("gan_mixture", "--data moons", "ring8"),
    ("gan_mixture", "--batch-size 20000", "batch_size must be at most 10000"),
    ("gmmn", "--kernel-variances", "number_of_kernel_variances must be an integer of at least 1, got 0"),
    ("gmmn", "--kernel-variances 1 -2", "kernel_variances must be positive and finite, got -2.0"),
    ("gmmn_autoencoder", "--steps 1000", "steps must be more than the autoencoder_steps 1000"),
    ("gmmn_autoencoder", "--input-dropout 1", "input_dropout must be in [0, 1), got 1.0"),
    ("infinite_mixture", "--latent 3", "latent must be 1 or 2"),
    ("infinite_mixture", "--smallest-scale 2", "smallest_scale must be below 1"),
    ("infinite_mixture", "--data mnist10k", ""),
    ("info_vae", "--alpha 1.5", "alpha must be in [0, 1], got 1.5"),
    ("info_vae", "--scale 0", "scale must be positive and finite, got 0.0"),
    ("iwae", "--chunk 0", "chunk must be an integer of at least 1, got 0"),
    ("iwae", "--chunk 5 --objective vae", "chunk and gradient need objective iwae, got 5 and standard for vae"),
    ("lapgan", "--data images.npz --pad-to 9 --batch-size 9", "levels 3 needs images whose height and width"),
    ("lapgan", "--data vectors.npz", "data must be images, got examples of shape (8,)"),
    ("lapgan", "--levels 0", "levels must be an integer of at least 1, got 0"),
    ("lapgan", "--pad-to 0", "pad_to must be an integer of at least 1, got 0"),
    ("lapgan", "--discriminator-channels", "discriminator_channels must name at least one layer"),
    ("made", "--hidden 0", "hidden must be an integer of at least 1, got (0,)"),
    ("made", "--dropout 1", "dropout must be in [0, 1), got 1.0"),
    ("made", "--scale isotropic", "scale must be global, diagonal or a number, got isotropic"),
    ("pixel_cnn", "--data vectors.npz --batch-size 9", "data must be images, got examples of shape (8,)"),
    ("pixel_cnn", "--layers 0", "layers must be an integer of at least 1, got 0"),
    ("pixel_vae", "--data vectors.npz --batch-size 9", "data must be images, got examples of shape (8,)"),
    ("pixel_vae", "--decoder-layers 0", "decoder_layers must be an integer of at least 1, got 0"),
    ("pixel_vae", "--kl-warmup -1", "kl_warmup must be an integer of at least 0, got -1"),
    ("one_generator_four_objectives", "--average 0", "average must be in (0, 1), got 0.0"),
    ("rivers", "--latent 1", "latent must be an integer of at least 2, got 1"),
    ("rivers", "--conditional", "conditional must be off"),
    ("rivers", "--data factors.npz --batch-size 9 --latent 50", "latent 50 needs at least 102 test examples, got "),
    ("rivers", "--data constant_factor.npz --batch-size 9 --latent 2", "factor 0 must vary in the test split, got 1 t"),
    ("rivers", "--data images.npz --batch-size 9", "data must have known factors, as rivers and sprites have, got"),
    ("vae", "--data vectors.npz --conditional", "needs a label per example, and"),
    ("vae", "--likelihood discretised_logistic --data grey.npz --batch-size 9", "needs 8-bit data and binarise none"),
    ("vae", "--likelihood logistic_mixture --data grey.npz --batch-size 9", "needs 8-bit data and binarise none"),
    ("vae", "--likelihood logistic_mixture --logistics 0", "logistics must be an integer of at least 1, got 0"),
    ("vae", "--optimizer.learning-rate 1 --learning-rate 2", "are one field: give it once"),
    (
        "self_supervised_boosting",
        "--steps 10 --features 4",
        "steps must be a multiple of 4, one stage per feature, got 10",
    ),
    ("rbm", "--chains 0", "chains must be an integer of at least 1, got 0"),
    ("rbm", "--data colours.npz --batch-size 9", "a Bernoulli likelihood needs binary data"),
    ("rbm", "--data grey.npz --batch-size 9 --binarise none", "the model needs binary data"),
    ("vrnn", "--data images.npz --batch-size 9", "data must be sequences [n, time, d], got grey images of 8 x 8"),
    ("vrnn", "--data sequences.npz --batch-size 999", "batch_size must be at most"),
    ("vrnn", "--data real_sequences.npz --likelihood bernoulli --batch-size 9", "a Bernoulli likelihood needs binary"),
    (
        "vrnn",
        "--data real_sequences.npz --likelihood bernoulli --binarise none --batch-size 9",
        "needs binary data, got s",
    ),
    ("vrnn", "--kl-warmup 10", "kl_warmup needs bound elbo, got fivo"),
    ("vrnn", "--particles 0", "particles must be an integer of at least 1, got 0"),
]


def integers(config):
    """Yields the dotted names of the fields that hold integers, and how many integers each holds."""
    for field in fields_of(config):
        types = {field.type, *typing.get_args(field.type)}
        if int in {*types, *(part for one in types for part in typing.get_args(one))} and field.name != "seed":
            yield field.name, len(field.value) if isinstance(field.value, tuple) else None


@pytest.mark.parametrize("name", RUNS)
def test_fault_89_no_field_takes_an_integer_that_int32_cannot_hold(name):
    config = experiment_of(name).config()
    names = dict(integers(config))
    assert {"training.steps", "training.batch_size", "training.evaluate_every"} <= set(names)
    for field, size in names.items():
        for bad in (2**31, 2**63, 10**5000, -1):
            with pytest.raises(InputError, match=rf"^{field.rpartition('.')[2]} must be .*, got ") as error:
                replaced(config, {field: bad if size is None else (bad,) * size})
            assert len(str(error.value)) < 300


HUGE = [
    (
        "classifier",
        "--data images.npz --batch-size 9 --shift 8",
        "shift must be below the height and width of images, (8, 8, 1), got 8",
    ),
    ("gan_mixture", "--steps 2147483647 --discriminator-moves 2", "times discriminator_moves 2 must be at most 214748"),
    ("gmmn", "--batch-size 1 --distance unbiased_squared", "unbiased_squared needs a batch_size of at least 2, got 1"),
    ("gmmn_autoencoder", "--batch-size 1 --distance unbiased_squared", "needs a batch_size of at least 2, got 1"),
    ("iwae", "--stages 21", "stages must be at most 20"),
    ("iwae", "--data images.npz --stages 20 --batch-size 1", "steps must be at most 2147483647"),
    (
        "lapgan",
        "--data images.npz --batch-size 9 --levels 20000",
        "levels 20000 needs images whose height and width can be halved 20000",
    ),
    ("lapgan", "--data images.npz --pad-to 2147483647", "pad_to 2147483647: memory of the images: at least "),
    (
        "vae",
        "--data images.npz --latent 2147483647 --batch-size 9",
        "memory of the state, which the sizes of the networ",
    ),
    ("vae", "--process-timeout 1e10", "process_timeout must be at most 2147483647 seconds, got 1e+10"),
    ("vae", f"--seeds {'9' * 5000}", "accepted are ranges such as 0:8"),
    ("vae", "--learning-rate 1e-46", "learning_rate must be a number that float32 can hold, got 1e-46"),
    ("vae", "--kl-weight 1e39", "kl_weight must be a number that float32 can hold, got 1e+39"),
]


@pytest.mark.parametrize(("name", "flags", "words"), HUGE, ids=[f"{n} {f[:30]}" for n, f, _ in HUGE])
def test_fault_89_numbers_that_no_run_can_take_are_refused_by_a_dry_run_too(name, flags, words, files, capsys):
    for dry in ([], ["--dry-run"]):
        refused(experiment_of(name), [*with_files(flags.split(), files), *dry], [words], capsys)


@pytest.mark.parametrize(("name", "flags", "words"), REFUSED, ids=[f"{n} {f}" for n, f, _ in REFUSED])
def test_bad_input_is_one_line_before_anything_is_compiled(name, flags, words, files, tmp_path, monkeypatch, capsys):
    def compile_nothing(*_, **__):
        raise AssertionError("something was compiled")

    for system in Path(gx.__path__[0], "systems").glob("[a-z]*.py"):
        importlib.import_module(f"genjax_models.systems.{system.stem}")  # modules decorate with jit when they load
    monkeypatch.setattr(jax, "jit", compile_nothing)
    flags = [*with_files(flags.split(), files), "--run-dir", str(tmp_path / "run")]
    refused(experiment_of(name), flags, [words], capsys)
    assert not (tmp_path / "run").exists()
