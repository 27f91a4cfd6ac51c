"""What is exported gives the package's numbers where the package is not installed, for any batch."""

import dataclasses
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from experiments import autoencoder, dcgan, draw, infinite_mixture, iwae, vae
from genjax_models.commands import export
from genjax_models.runs.loading import LoadedRun
from genjax_models.systems.groups import Likelihood, Networks, StagedTraining
from genjax_models.systems.settings import Data
from genjax_models.types import Batch
from tests.commands.conftest import BEST, LAST

BATCHES = (2, 5)
SHAPE = (8, 8, 1)
DATA, LABELLED = Data(shape=SHAPE), Data(shape=SHAPE, classes=3)
SMALL = Networks(hidden=(6,))
CONVOLUTIONAL = Networks("convolutional", hidden=(5,), channels=(3,))
KINDS = {
    "diagonal": (vae, {"networks": SMALL, "likelihood": Likelihood("bernoulli")}),
    "full covariance": (
        vae,
        {"posterior": "full_covariance", "latent": 3, "likelihood": Likelihood("gaussian"), "networks": SMALL},
    ),
    "convolutional": (vae, {"networks": CONVOLUTIONAL, "likelihood": Likelihood("discretised_logistic")}),
    "autoencoder": (
        autoencoder,
        {"networks": Networks("convolutional", hidden=(), channels=(3, 2)), "latent": 4},
    ),
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


def config_of(kind):
    module, fields = {**KINDS, **FURTHER}[kind]
    return module.Config(**{"data": DATA, **fields})


@pytest.fixture(scope="module")
def runs(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    return {kind: store(folder / kind.replace(" ", "_"), KINDS[kind][0].EXPERIMENT, config_of(kind)) for kind in KINDS}


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
        assert export.main([str(run.path), "--to", str(folder / kind)]) == 0
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


def close(got, expected):
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_gives_the_mean_of_x(kind, n, runs, given, elsewhere):
    run = runs[kind]
    (variables,) = run.players.values()
    expected = run.system.model.generate(variables, given[kind]["z"][:n])
    assert expected.shape == (n, *SHAPE)
    assert np.std(expected) > 0.01
    close(elsewhere[f"{kind}/{n}/means"], expected)


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_encoder_gives_the_parameters_of_the_posterior_or_the_code(kind, n, runs, given, elsewhere):
    run = runs[kind]
    (variables,) = run.players.values()
    model, x = run.system.model, given[kind]["x"][:n]
    if kind == "autoencoder":
        expected = [model.encode(variables, x)]
    elif kind == "full covariance":
        posterior = model.posterior(variables, x)
        expected = [posterior.mean(), np.linalg.cholesky(posterior.covariance())]
    else:
        posterior = model.posterior(variables, x)
        expected = [posterior.mean(), posterior.stddev()]
    got = {name for name in elsewhere if name.startswith(f"{kind}/{n}/code")}
    assert len(got) == len(expected)
    for i, value in enumerate(expected):
        assert value.shape[0] == n
        np.testing.assert_allclose(elsewhere[f"{kind}/{n}/code{i}"], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_draw_i_of_a_seed_is_what_the_objective_samples_with_their_key(kind, n, runs, elsewhere):
    run = runs[kind]
    sample = jax.jit(lambda key: run.system.objective.sample(run.players, key, 1)[0])
    expected = np.stack([sample(jax.random.fold_in(jax.random.key(9), i)) for i in range(n)])
    assert expected.shape == (n, *SHAPE)
    close(elsewhere[f"{kind}/{n}/draws"], expected)


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
    expected = {}
    for path, leaf in jax.tree.leaves_with_path(run.players):
        expected["/".join(entry.key for entry in path)] = np.asarray(leaf)
    assert sorted(arrays) == sorted(expected)
    assert any(name.startswith(f"{run.experiment.name}/params/encoder/") for name in arrays)
    for name, value in expected.items():
        assert arrays[name].dtype == value.dtype
        np.testing.assert_array_equal(arrays[name], value)


def metadata_of(folder):
    with safetensors.safe_open(folder / "parameters.safetensors", "numpy") as file:
        return file.metadata()


@pytest.mark.parametrize("kind", KINDS)
def test_the_metadata_say_what_it_was(kind, runs, exported):
    run, metadata = runs[kind], metadata_of(exported / kind)
    assert metadata["experiment"] == run.experiment.module
    assert metadata["step"] == str(BEST)
    assert json.loads(metadata["config"]) == json.loads(json.dumps(dataclasses.asdict(run.config)))
    assert metadata["genjax_models"]


CONDITIONAL = {"networks": SMALL, "conditional": True, "data": LABELLED, "likelihood": Likelihood("bernoulli")}
FURTHER = {
    "conditional": (vae, CONDITIONAL),
    "conditional flow": (vae, CONDITIONAL | {"posterior": "flow", "form": "monte_carlo"}),
    "two layers": (iwae, {"hidden": (6, 5), "latent": (4, 2), "layers": 2, "training": StagedTraining(steps=10)}),
    "draw": (
        draw,
        {"glimpses": 3, "latent": 2, "hidden": 4, "attention": (2, 3), "likelihood": Likelihood("bernoulli")},
    ),
    "conditional game": (dcgan, {"channels": (3,), "latent": 4, "conditional": True, "data": LABELLED}),
    "generator": (infinite_mixture, {"hidden": (4,), "data": infinite_mixture.Config().data}),
    "finite mixture": (
        infinite_mixture,
        {"fit": "finite_mixture", "components": 3, "data": infinite_mixture.Config().data},
    ),
}


@pytest.fixture
def loaded(request):
    """The run of a kind, not yet trained."""
    module, config = FURTHER[request.param][0], config_of(request.param)
    system = module.build(config)
    shape = config.data.shape
    label = jnp.zeros(1, jnp.int32)
    players = jax.jit(system.objective.init)(jax.random.key(0), Batch(jnp.ones((1, *shape)), label))
    return LoadedRun(config, system, system.objective, system.model, players, None, module.EXPERIMENT)


def called(run):
    """The exported functions of a run, as they are after serialisation."""
    functions = export.exported_functions(run)
    return {name: jax.export.deserialize(export.stablehlo(*parts)).call for name, parts in functions.items()}


@pytest.mark.slow
@pytest.mark.parametrize("loaded", ["draw"], indirect=True)
def test_a_z_of_several_steps_is_one_argument(loaded):
    functions = export.exported_functions(loaded)
    assert set(functions) == {"sampler", "generator", "encoder_sampler"}
    generator, arguments = functions["generator"]
    assert arguments == (("float32", "n", 3, 2),)
    call = jax.export.deserialize(export.stablehlo(generator, arguments)).call
    z = np.random.RandomState(0).normal(size=(4, 3, 2)).astype(np.float32)
    close(call(z), loaded.model.generate(loaded.variables, z))


@pytest.mark.slow
@pytest.mark.parametrize("loaded", ["conditional", "conditional flow", "two layers"], indirect=True)
def test_classes_go_last_and_posteriors_without_a_mean_are_drawn_from(loaded):
    call, model, variables = called(loaded), loaded.model, loaded.variables
    gaussian = getattr(loaded.config, "posterior", None) == "diagonal"
    assert set(call) == {"sampler", "generator", "encoder" if gaussian else "encoder_sampler"}
    x = np.ones((2, *SHAPE), np.float32)
    label = () if loaded.config.data.classes is None else (np.array([2, 0], np.int32),)
    seed, index = np.uint32(9), np.arange(2, dtype=np.uint32)
    assert call["sampler"](seed, index, *label).shape == x.shape
    posterior = model.posterior(variables, x, *label)
    if gaussian:
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


@pytest.mark.parametrize(
    ("loaded", "names"),
    [
        ("conditional game", {"sampler", "generator"}),
        ("generator", {"sampler", "generator"}),
        ("finite mixture", {"sampler"}),
    ],
    indirect=["loaded"],
)
def test_models_without_an_encoder_have_fewer_files(loaded, names):
    call = called(loaded)
    assert set(call) == names
    label = () if loaded.config.data.classes is None else (np.array([2, 0], np.int32),)
    draws = call["sampler"](np.uint32(9), np.arange(2, dtype=np.uint32), *label)
    assert draws.shape == (2, *loaded.config.data.shape)
    assert np.all(np.isfinite(draws))
    if "generator" in names:
        z = np.ones((2, loaded.config.latent), np.float32)
        expected = loaded.model.generate(loaded.variables, z, *label)
        np.testing.assert_allclose(call["generator"](z, *label), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_last_checkpoint_can_be_exported_instead_and_files_are_replaced_on_request(runs, exported, tmp_path):
    run, out = runs["diagonal"], tmp_path / "deep" / "out"
    for more, step in (([], BEST), (["--checkpoint", "last", "--overwrite"], LAST)):
        assert export.main([str(run.path), "--to", str(out), *more]) == 0
        assert metadata_of(out)["step"] == str(step)
        assert len(list(out.iterdir())) == 4
    arrays = safetensors.numpy.load_file(out / "parameters.safetensors")
    name = "vae/params/generator/logits/bias"
    np.testing.assert_array_equal(arrays[name], run.last["vae"]["params"]["generator"]["logits"]["bias"])
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
    ("diagonal", ["--to", "full"], "exists already"),
    ("diagonal", ["--to", "file"], "is a file"),
    ("diagonal", ["--to", "link", "--overwrite"], "is a symbolic link"),
    ("diagonal", ["--to", "file/below"], "cannot be written"),
    ("diagonal", ["--checkpoint", "newest"], "newest"),
    ("diagonal", ["another"], "another"),
]


@pytest.mark.parametrize(("kind", "arguments", "words"), REFUSED, ids=lambda value: str(value))
def test_bad_input_is_one_line(kind, arguments, words, runs, tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("full")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    run = runs[kind].path if kind in runs else tmp_path / kind
    assert words in refused(export, run, *arguments)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_missing_library_is_named_with_the_extra_that_brings_it(runs, monkeypatch, refused):
    monkeypatch.setattr(export, "_PACKAGES", ("safetensors", "no_such_library"))
    message = refused(export, runs["diagonal"].path, "--overwrite")
    assert message == "export needs no_such_library; pip install 'genjax_models[export]'"
