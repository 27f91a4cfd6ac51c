"""The trained models that the package ships: undamaged, as good as stated, and loaded as a run is."""

import hashlib
import re
from importlib import resources
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.data.features import load_classifier
from genjax_models.errors import InputError
from genjax_models.runs.loading import LoadedRun
from genjax_models.trained import loading
from genjax_models.trained.released import RELEASED
from genjax_models.types import Batch

FILES = resources.files("genjax_models.data") / "files"


@pytest.fixture(scope="module")
def runs():
    return {name: gx.pretrained(name) for name in RELEASED}


def test_the_files_have_the_stated_digests_and_take_6_mb_in_all():
    contents = {name: (FILES / loading.file_of(name)).read_bytes() for name in RELEASED}
    for name, content in contents.items():
        assert hashlib.sha256(content).hexdigest() == RELEASED[name].sha256
    assert sum(map(len, contents.values())) <= 6e6


@pytest.mark.parametrize("name", RELEASED)
def test_a_pretrained_model_is_a_loaded_run(runs, name):
    run = runs[name]
    assert isinstance(run, LoadedRun)
    assert run.players == {RELEASED[name].player: run.variables}
    assert {leaf.dtype for leaf in jax.tree.leaves(run.players)} == {jnp.dtype("float32")}
    assert run.experiment.build(run.config).objective.losses.keys() == run.objective.losses.keys()
    drawn = jax.eval_shape(lambda key: run.system.draw(run.players, key, 3), jax.random.key(0))
    assert drawn.shape == (3, *run.config.data.shape)


def test_the_vae_of_digits_has_its_stated_bound(runs):
    run = runs["digits_vae"]
    _, dataset = run.config.load()
    test = run.system.prepare(dataset).test
    bound = jax.jit(run.system.evaluate)(run.players, jax.random.key(0), test)["bound"]
    assert np.mean(bound) == pytest.approx(RELEASED["digits_vae"].value, abs=0.5)


def test_the_gan_of_digits_draws_its_classes(runs):
    run = runs["digits_gan"]
    label = jnp.arange(200) % 10
    x = run.system.draw(run.players, jax.random.key(0), 200, label)
    log_p = load_classifier("mnist_classifier", range=run.system.range).log_probabilities(x)
    assert np.mean(np.argmax(log_p, axis=1) == label) > RELEASED["digits_gan"].value - 0.06  # 200 draws


@pytest.mark.slow
def test_the_chairs_have_their_stated_error(runs):
    run = runs["chairs"]
    test = run.system.prepare(run.config.data.load(labels=True)[1]).test
    error = jax.jit(run.system.evaluate)(run.players, jax.random.key(0), test)["squared_error_per_number"]
    assert np.mean(error) == pytest.approx(RELEASED["chairs"].value, rel=0.02)


@pytest.mark.slow
def test_the_vae_of_rivers_has_its_stated_bound_on_other_rivers(runs):
    run = runs["rivers_vae"]
    source = gx.load_source("rivers")
    x = source.draw(source.sample(np.random.RandomState(1), 200)).astype(np.float32) / 255
    bound = np.asarray(jax.jit(run.system.evaluate)(run.players, jax.random.key(0), Batch(x))["bound"])
    error = float(bound.std() / np.sqrt(len(bound)))
    assert error < 0.01 * RELEASED["rivers_vae"].value
    assert bound.mean() == pytest.approx(RELEASED["rivers_vae"].value, abs=4 * error)


def test_the_guide_has_every_model_with_its_figure():
    guide = (Path(gx.__path__[0]).parent / "docs" / "runs.md").read_text(encoding="utf-8")
    for name, released in RELEASED.items():
        value = f"{released.value:,}".replace("-", "\u2212").removesuffix(".0")
        assert re.search(rf"^\| `{name}` \|.*\| {released.figure}: {value} \|$", guide, flags=re.MULTILINE), name


def test_another_name_is_one_line_with_the_nearest():
    with pytest.raises(
        InputError, match=r"^name must be one of digits_vae, .*, got 'chair' \(did you mean chairs\?\)$"
    ):
        gx.pretrained("chair")
    for other in (["digits_vae"], None, 3):
        with pytest.raises(InputError, match=r"^name must be one of digits_vae, .*, got .* \(did you mean .*\?\)$"):
            gx.pretrained(other)


def test_a_damaged_file_is_refused(monkeypatch):
    changed = RELEASED["digits_vae"]._replace(sha256="0" * 64)
    monkeypatch.setitem(loading.RELEASED, "digits_vae", changed)
    with pytest.raises(InputError, match=r"^pretrained_digits_vae.npz: its SHA-256 is \w+, not 0+; install"):
        gx.pretrained("digits_vae")
