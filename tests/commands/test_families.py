"""Every command on a run of every experiment: it works, or says in one line what it needs."""

import importlib

import numpy as np
import pytest

from genjax_models.commands import export
from genjax_models.runs.loading import load_run
from tests.experiments.support import built
from tests.experiments.test_contract import RUNS, experiment_of, with_files

N = 12  # draws of a run

# command -> its flags after the run, and the files that it writes
COMMANDS = {
    "draw": ("--n 12 --block 5 --to {tmp}/draws.npz", "draws.npz"),
    "draw draws": ("--n 12 --block 5 --show draws --to {tmp}/draws.npz", "draws.npz"),
    "sample": ("--n 4 --to {tmp}/drawn.png", "drawn.png"),
    "judge": ("{run} --n 20 --to {tmp}/judge.html", "judge.html"),  # by its own draws
    "check": ("", ""),
    "compare": ("--to {tmp}/compare.html", "compare.html"),
    "encode": ("--to {tmp}/codes.npz", "codes.npz codes_pairs.png"),
    "reconstruct": ("--to {tmp}/made.npz", "made.npz made_pairs.png"),
    "impute": ("--n 4 --to {tmp}/filled.npz --picture {tmp}/filled.png", "filled.npz filled.png"),
    "export": ("--to {tmp}/exported", "exported/parameters.safetensors"),
    "latent-walk": ("--rows 2 --steps 3", "run/figures/interpolations.png"),
    "representations": ("", ""),
    "likelihood": ("--n 2 --num-samples 4 --num-temperatures 2 --num-chains 2 --num-leapfrog 1", "run/likelihood.json"),
}
POINTS = "gan_mixture infinite_mixture"
NO_ENCODER = "biggan chairs classifier conditional_gan dcgan gan_mixture gmmn infinite_mixture lapgan made pixel_cnn"
ENERGIES = "multi_prediction rbm self_supervised_boosting"
NO_POSTERIOR = f"{NO_ENCODER} {ENERGIES} autoencoder gmmn_autoencoder vrnn"
NO_Q = {NO_POSTERIOR: "needs a model with a posterior q(z | x), such as a run of experiments.vae or experiments.iwae"}
NO_P = {"classifier": "needs a model with p(x) to draw from, such as a run of experiments.vae"}

# command -> experiments that it refuses, and its words
REFUSED = {
    "draw": NO_P,
    "draw draws": NO_P | {"colourise": "--show draws needs a condition per draw. Use --show images"},
    "sample": NO_P | {f"{POINTS} vrnn": "needs images, got examples of shape "},
    "judge": NO_P | {f"{POINTS} vrnn": "needs images, got examples of shape "},
    "check": {},
    "compare": {},
    "encode": NO_Q,
    "reconstruct": {f"{NO_ENCODER} {ENERGIES} vrnn": "needs a model with an encoder, such as a run of experiments."},
    "impute": {
        f"{NO_ENCODER} autoencoder colourise gmmn_autoencoder pixel_vae self_supervised_boosting vrnn": (
            "impute needs a Boltzmann machine, or a model with q(z | x) and E[x | z], such as a run of "
        )
    },
    "export": {},
    "latent-walk": {
        f"autoencoder chairs classifier {ENERGIES} gmmn_autoencoder infinite_mixture lapgan made pixel_cnn vrnn": (
            "needs a model with a prior over latents to walk in"
        ),
        "colourise": "latent-walk needs a model without conditions, or with classes",
        "gan_mixture": "needs images, got examples of shape (2,)",
        "iwae": "needs a model with one array z, got one with several stochastic layers",
        "pixel_vae": "latent-walk needs E[x | z], and this model has none",
    },
    "representations": NO_Q | {"colourise disentanglement rivers": "the probes need a label per example, and "},
    "likelihood": NO_Q,
}
QUICK = ("classifier", "autoencoder")  # runs of which a row takes a second at most


def rows(command):
    """Returns the rows of a command: name, and the words of its refusal or None."""
    of_command = []
    for name in RUNS:
        words = [words for names, words in REFUSED[command].items() if name in names.split()]
        quick = name in QUICK and (command != "judge" or words)
        marks = () if quick else pytest.mark.slow
        of_command.append(pytest.param(command, name, *(words or [None]), id=f"{command} {name}", marks=marks))
    return of_command


@pytest.fixture(scope="module")
def run_of(files, store, tmp_path_factory):
    """Returns name of an experiment -> a run of it, written when it is first asked for."""
    written = {}

    def stored(name):
        if name not in written:
            experiment = experiment_of(name)
            config, *_ = built(experiment, *with_files(RUNS[name][0], files))
            written[name] = store(tmp_path_factory.mktemp(name) / "run", experiment, config)
        return written[name]

    return stored


@pytest.mark.parametrize(("command", "name", "words"), [row for command in COMMANDS for row in rows(command)])
def test_a_command_works_or_says_what_it_needs(command, name, words, run_of, refused, capsys, tmp_path):
    run = run_of(name)
    module = importlib.import_module(f"genjax_models.commands.{command.split()[0].replace('-', '_')}")
    flags, files = COMMANDS[command]
    flags = flags.format(tmp=tmp_path, run=run.path).split()
    if words is not None:
        assert refused(module, run.path, *flags).startswith(f"{run.path}: {words}")
        assert not list(tmp_path.iterdir())
        return
    assert module.main([str(run.path), *flags]) == 0
    assert capsys.readouterr().out.strip()
    for file in files.split():
        path = (run.path.parent if file.startswith("run/") else tmp_path) / file
        assert path.stat().st_size > 0
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                assert all(len(x) and np.isfinite(x).all() for x in arrays.values())
                assert not command.startswith("draw") or len(arrays["x"]) == N


@pytest.mark.slow
def test_an_export_of_a_run_without_p_x_or_with_conditions_has_what_its_model_has(run_of):
    assert export.exported_functions(load_run(run_of("classifier").path)) == {}
    sampler, arguments = export.exported_functions(load_run(run_of("colourise").path))["sampler"]
    assert arguments == (("uint32",), ("uint32", "n"), ("float32", "n", 8, 8, 1))
    grey = np.zeros((3, 8, 8, 1), np.float32)
    assert sampler(np.uint32(0), np.arange(3, dtype=np.uint32), grey).shape == (3, 8, 8, 3)
