"""Commands on a run whose model has no E[x | z]: one line where a mean is needed, draws elsewhere."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from genjax_models.commands import export, latent_walk, sample
from genjax_models.runs import loading

LINE = "needs E[x | z], and this model has none: p(x | z) can only be drawn from. Use draws of x"


@pytest.fixture
def without_mean(runs, monkeypatch):
    """A run of a VAE whose model says that it has no mean, as an autoregressive decoder has none."""
    load_run = loading.load_run

    def loaded(*arguments, **options):
        run = load_run(*arguments, **options)
        return run._replace(model=run.model._replace(has_mean=False))

    monkeypatch.setattr(loading, "load_run", loaded)
    return runs["vae"].path


def test_latent_walk_and_means_are_refused(without_mean, refused):
    assert refused(latent_walk, without_mean) == f"{without_mean}: latent-walk {LINE}"
    assert refused(sample, without_mean, "--show", "mean") == f"{without_mean}: --show mean {LINE}"


def test_means_of_a_model_without_p_x_given_z_are_refused(runs, refused):
    run = runs["autoencoder"].path
    assert refused(sample, run, "--show", "mean") == f"{run}: --show mean needs a model with E[x | z]. Use --show draws"


def test_an_export_has_no_generator(without_mean):
    assert set(export.exported_functions(loading.load_run(without_mean))) == {"sampler", "encoder"}


def test_means_are_the_images_of_a_vae(runs, tmp_path):
    pictures = []
    for show in ("images", "mean", "draws"):
        path = tmp_path / f"{show}.png"
        assert sample.main([str(runs["vae"].path), "--show", show, "--n", "4", "--to", str(path)]) == 0
        picture = plt.imread(path)
        below = picture[len(picture) // 2 :, :, 0]  # the heading, above, says which
        pictures.append(below[:, below.min(axis=0) < 1])
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
