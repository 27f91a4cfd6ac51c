"""What is exported gives the package's numbers where the package is not installed, for any batch."""

import dataclasses
import json
import os
import subprocess
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
import safetensors.numpy

import genjax_models as gx
from experiments import autoencoder, export, iwae, vae
from genjax_models.runs import checkpoints, directory, experiment
from genjax_models.types import Batch

BEST, LAST = 3, 7
BATCHES = (2, 5)
SHAPE = (8, 8, 1)
KINDS = {
    "diagonal": (vae, {"hidden": (6,)}),
    "full covariance": (vae, {"posterior": "full_covariance", "latent": 3, "likelihood": "gaussian", "hidden": (6,)}),
    "convolutional": (vae, {"network": "convolutional", "channels": (3,), "likelihood": "discretised_logistic"}),
    "autoencoder": (autoencoder, {"network": "convolutional", "channels": (3, 2), "latent": 4, "hidden": ()}),
}

# Runs where nothing but jax, numpy and safetensors can be imported.
ALONE = """
import sys

class OnlyThese:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} is not installed here")

FORBIDDEN = {"genjax_models", "experiments", "flax", "distrax", "optax", "chex", "orbax", "tensorflow_probability"}
sys.meta_path.insert(0, OnlyThese())
for name in FORBIDDEN:
    try:
        __import__(name)
    except ImportError:
        continue
    sys.exit(f"{name} was imported")

import pathlib
import jax
import jax.numpy as jnp
import numpy as np
from jax import export

given = np.load("given.npz")
out = {}
for folder in sorted(pathlib.Path().glob("*/")):
    call = {path.stem: export.deserialize(path.read_bytes()).call for path in folder.glob("*.stablehlo")}
    for n in (2, 5):
        z, x = (given[f"{folder}/{name}"][:n] for name in "zx")
        out[f"{folder}/{n}/draws"] = call["sampler"](np.uint32(9), np.arange(n, dtype=np.uint32))
        out[f"{folder}/{n}/means"] = call["generator"](z)
        for i, code in enumerate(jax.tree.leaves(call["encoder"](x))):
            out[f"{folder}/{n}/code{i}"] = code
    out[f"{folder}/one"] = call["sampler"](np.uint32(9), np.array([4], np.uint32))
    out[f"{folder}/other"] = call["sampler"](np.uint32(8), np.arange(5, dtype=np.uint32))
np.savez("out.npz", **out)
"""


class Stored(NamedTuple):
    """A run on disk, the module of its experiment, its config and its players at the best step."""

    path: object
    module: object
    config: object
    players: object


def store(folder, module, fields):
    """A run with two checkpoints, the earlier one better, in which no parameter is zero."""
    config = module.Config(**{"hidden": (5,), "shape": SHAPE, **fields})
    objective = module.build(config)
    trainer = gx.trainer(objective, dict.fromkeys(objective.losses, config.optimizer.build(config.training.steps)))
    state = jax.eval_shape(trainer.init, jax.random.key(0), Batch(np.zeros((1, *SHAPE), np.float32)))
    folder.mkdir()
    about = directory.config_as_json(module.EXPERIMENT.name, config)
    directory.write_json(folder / "config.json", about)
    kept = {}
    for step, score in ((BEST, 2.0), (LAST, 1.0)):
        fill = lambda leaf, of=np.random.RandomState(step): of.normal(0, 0.3, leaf.shape).astype(leaf.dtype)  # noqa: B008
        kept[step] = jax.tree.map(jnp.asarray, jax.tree.map(fill, state._replace(key=None)))
        kept[step] = kept[step]._replace(key=jax.random.key(1), step=jnp.int32(step))
        checkpoints.save(folder / "checkpoints", kept[step], score=score, about=about)
    return Stored(folder, module, config, kept[BEST].variables)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    return {kind: store(folder / kind.replace(" ", "_"), *KINDS[kind]) for kind in KINDS}


@pytest.fixture(scope="module")
def given(runs):
    random = np.random.RandomState(0)
    return {
        kind: {
            "z": random.normal(0, 1, (5, run.config.latent)).astype(np.float32),
            "x": random.uniform(0, 1, (5, *SHAPE)).astype(np.float32),
        }
        for kind, run in runs.items()
    }


@pytest.fixture(scope="module")
def exported(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    for kind, run in runs.items():
        assert export.main([str(run.path), "--out", str(folder / kind)]) == 0
    return folder


@pytest.fixture(scope="module")
def elsewhere(exported, given):
    """What the files give in a process that has no genjax_models."""
    np.savez(
        exported / "given.npz", **{f"{kind}/{name}": a for kind, both in given.items() for name, a in both.items()}
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-I", "-W", "error", "-c", ALONE]
    done = subprocess.run(command, cwd=exported, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    with np.load(exported / "out.npz") as out:
        return dict(out)


def close(got, wanted):
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_gives_the_mean_of_x(kind, n, runs, given, elsewhere):
    run = runs[kind]
    (variables,) = run.players.values()
    wanted = run.module.build_model(run.config).generate(variables, given[kind]["z"][:n])
    assert wanted.shape == (n, *SHAPE)
    assert np.std(wanted) > 0.01
    close(elsewhere[f"{kind}/{n}/means"], wanted)


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_encoder_gives_the_parameters_of_the_posterior_or_the_code(kind, n, runs, given, elsewhere):
    run = runs[kind]
    (variables,) = run.players.values()
    model, x = run.module.build_model(run.config), given[kind]["x"][:n]
    if run.module is autoencoder:
        wanted = [model.encode(variables, x)]
    elif kind == "full covariance":
        posterior = model.posterior(variables, x)
        wanted = [posterior.mean(), np.linalg.cholesky(posterior.covariance())]
    else:
        posterior = model.posterior(variables, x)
        wanted = [posterior.mean(), posterior.stddev()]
    got = {name for name in elsewhere if name.startswith(f"{kind}/{n}/code")}
    assert len(got) == len(wanted)
    for i, value in enumerate(wanted):
        assert value.shape[0] == n
        np.testing.assert_allclose(elsewhere[f"{kind}/{n}/code{i}"], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_draw_i_of_a_seed_is_what_the_objective_samples_with_their_key(kind, n, runs, elsewhere):
    run = runs[kind]
    sample = jax.jit(lambda key: run.module.build(run.config).sample(run.players, key, 1)[0])
    wanted = np.stack([sample(jax.random.fold_in(jax.random.key(9), i)) for i in range(n)])
    assert wanted.shape == (n, *SHAPE)
    close(elsewhere[f"{kind}/{n}/draws"], wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_a_draw_is_the_same_in_every_batch_and_another_for_another_index_or_seed(kind, elsewhere):
    draws = elsewhere[f"{kind}/5/draws"]
    close(elsewhere[f"{kind}/one"], draws[4:])
    close(elsewhere[f"{kind}/2/draws"], draws[:2])
    assert all(np.abs(draws[i] - draws[j]).max() > 0.1 for i in range(5) for j in range(i))
    assert np.abs(elsewhere[f"{kind}/other"] - draws).max() > 0.1


@pytest.mark.parametrize("name", ["sampler", "generator", "encoder"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_artefact_is_for_all_platforms_and_any_batch(kind, name, exported):
    function = jax.export.deserialize((exported / kind / f"{name}.stablehlo").read_bytes())
    assert function.platforms == ("cpu", "cuda", "tpu")
    assert {str(out.shape[0]) for out in function.out_avals} == {"n"}


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_those_of_the_best_checkpoint_by_name(kind, runs, exported):
    run = runs[kind]
    arrays = safetensors.numpy.load_file(exported / kind / "parameters.safetensors")
    wanted = {}
    for path, leaf in jax.tree.leaves_with_path(run.players):
        wanted["/".join(entry.key for entry in path)] = np.asarray(leaf)
    assert sorted(arrays) == sorted(wanted)
    assert any(name.startswith(f"{run.module.EXPERIMENT.name}/params/encoder/") for name in arrays)
    for name, value in wanted.items():
        assert arrays[name].dtype == value.dtype
        np.testing.assert_array_equal(arrays[name], value)


def metadata(folder):
    with safetensors.safe_open(folder / "parameters.safetensors", "numpy") as file:
        return file.metadata()


@pytest.mark.parametrize("kind", KINDS)
def test_the_metadata_say_what_it_was(kind, runs, exported):
    run, said = runs[kind], metadata(exported / kind)
    assert said["experiment"] == run.module.EXPERIMENT.name
    assert said["step"] == str(BEST)
    assert json.loads(said["config"]) == json.loads(json.dumps(dataclasses.asdict(run.config)))
    assert said["genjax_models"]


FURTHER = {
    "conditional": (vae, {"hidden": (6,), "conditional": True, "classes": 3}),
    "conditional flow": (
        vae,
        {"hidden": (6,), "conditional": True, "classes": 3, "posterior": "flow", "form": "monte_carlo"},
    ),
    "two layers": (iwae, {"hidden": (6, 5), "latent": (4, 2), "layers": 2}),
}


@pytest.mark.parametrize("kind", FURTHER)
def test_classes_go_last_and_posteriors_without_a_mean_are_drawn_from(kind):
    module, fields = FURTHER[kind]
    config = module.Config(**{"shape": SHAPE, **fields})
    players = jax.jit(module.build(config).init)(jax.random.key(0), Batch(jnp.ones((1, *SHAPE))))
    made = export.functions(module.EXPERIMENT, config, players)
    call = {name: jax.export.deserialize(export.stablehlo(*parts)).call for name, parts in made.items()}
    assert set(call) == {"sampler", "generator", "encoder" if kind == "conditional" else "encoder_sampler"}
    model, (variables,), x = module.build_model(config), players.values(), np.ones((2, *SHAPE), np.float32)
    label = () if kind == "two layers" else (np.array([2, 0], np.int32),)
    seed, index = np.uint32(9), np.arange(2, dtype=np.uint32)
    assert call["sampler"](seed, index, *label).shape == x.shape
    posterior = model.posterior(variables, x, *label)
    if kind == "conditional":
        z = posterior.mean()
        np.testing.assert_allclose(call["encoder"](x, *label)[0], z, rtol=1e-4, atol=1e-5)
    else:
        z = call["encoder_sampler"](seed, index, x, *label)
        again = call["encoder_sampler"](seed, index[1:], x[1:], *(label[0][1:] for _ in label))
        for one, other in zip(jax.tree.leaves(z), jax.tree.leaves(again), strict=True):
            np.testing.assert_allclose(one[1:], other, rtol=1e-5)
        assert np.all(np.isfinite(posterior.log_prob(z)))
    means = call["generator"](*jax.tree.leaves(z), *label)
    np.testing.assert_allclose(means, model.generate(variables, z, *label), rtol=1e-4, atol=1e-5)


def test_the_last_checkpoint_can_be_exported_instead_and_files_are_replaced_on_request(runs, exported, tmp_path):
    run, out = runs["diagonal"], tmp_path / "deep" / "out"
    for more, step in (([], BEST), (["--checkpoint", "last", "--overwrite"], LAST)):
        assert export.main([str(run.path), "--out", str(out), *more]) == 0
        assert metadata(out)["step"] == str(step)
        assert len(list(out.iterdir())) == 4
    _, last = experiment.load(run.module.EXPERIMENT, run.path, "last")
    arrays = safetensors.numpy.load_file(out / "parameters.safetensors")
    name = "vae/params/generator/logits/bias"
    np.testing.assert_array_equal(arrays[name], last["vae"]["params"]["generator"]["logits"]["bias"])
    again = (exported / "diagonal" / "generator.stablehlo").read_bytes()
    assert (out / "generator.stablehlo").read_bytes() != again


def test_without_a_place_the_files_are_in_the_run(runs, capsys):
    run = runs["diagonal"].path
    assert export.main([str(run)]) == 0
    names = ("parameters.safetensors", "sampler.stablehlo", "generator.stablehlo", "encoder.stablehlo")
    assert capsys.readouterr().out.splitlines() == [str(run / "export" / name) for name in names]
    assert {path.name for path in (run / "export").iterdir()} == set(names)


REFUSED = [
    ("nothing", [], "holds no run"),
    ("diagonal", ["--out", "full"], "exists already"),
    ("diagonal", ["--out", "file"], "is a file"),
    ("diagonal", ["--out", "link", "--overwrite"], "is a symbolic link"),
    ("diagonal", ["--out", "file/below"], "cannot be written"),
    ("diagonal", ["--checkpoint", "newest"], "newest"),
    ("diagonal", ["another"], "another"),
]


@pytest.mark.parametrize(("kind", "arguments", "words"), REFUSED, ids=lambda value: str(value))
def test_what_cannot_be_done_is_one_line_and_exit_status_2(kind, arguments, words, runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("full")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    run = runs[kind].path if kind in runs else tmp_path / kind
    with pytest.raises(SystemExit, match="2"):
        export.main([str(run), *arguments])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_missing_library_is_named_with_the_extra_that_brings_it(runs, monkeypatch, capsys):
    monkeypatch.setattr(export, "_NEEDED", ("safetensors", "no_such_library"))
    with pytest.raises(SystemExit, match="2"):
        export.main([str(runs["diagonal"].path), "--overwrite"])
    assert capsys.readouterr().err == "error: export needs no_such_library; pip install 'genjax_models[export]'\n"


def test_help_imports_no_jax():
    code = (
        "import sys; from genjax_models.commands import export\ntry: export.main(['--help'])\nfinally: print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "False", done.stderr
