"""Figures of known factors in the final evaluation, on codes that are the factors."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.data.factors import Factor, Source
from genjax_models.errors import InputError
from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.evaluation.findings import Facts
from genjax_models.models import LatentVariableModel
from genjax_models.runs.protocol import System
from genjax_models.systems import disentanglement

# Images of one pixel for each factor. The encoder returns the factors, scaled, and a dimension that is never used.
FACTORS = tuple(Factor(name, 5, (0.0, 4.0)) for name in ("red", "green"))
SOURCE = Source(
    FACTORS,
    sample=lambda generator, n: generator.randint(0, 5, (n, 2)).astype(np.float32),
    draw=lambda factors: (50 * factors).astype(np.uint8)[:, None, :, None],
)
MODEL = LatentVariableModel(
    init=lambda key, batch: {},
    posterior=lambda variables, x: diagonal_normal(codes_of(x), jnp.ones((len(x), 3))),
    prior=lambda variables: diagonal_normal(jnp.zeros(3), jnp.ones(3)),
    likelihood=lambda variables, z: diagonal_normal(z, jnp.ones_like(z)),
)


def codes_of(x):
    return jnp.pad(2 * x.reshape(len(x), 2), ((0, 0), (0, 1)))


def examples(n):
    factors = SOURCE.sample(np.random.RandomState(1), n)
    return SOURCE.draw(factors), factors


def test_codes_that_are_the_factors_have_all_figures_of_one():
    images, factors = examples(1_203)  # three blocks, of which the last is not full
    data = SimpleNamespace(range=(-1.0, 1.0))
    codes = disentanglement.encoder_of_source(MODEL, {}, SOURCE, data)(images)
    np.testing.assert_allclose(codes[:, :2], 4.0 * images.reshape(-1, 2) / 255 - 2, atol=1e-6)
    figures = disentanglement.figures_of_codes(codes, factors)
    ones = ("modularity", "dci_disentanglement", "dci_completeness", "dci_informativeness", "sap")
    for name in ones:
        assert figures[name].value == pytest.approx(1, abs=0.02), name
    assert figures["total_correlation_of_means"].value == pytest.approx(0, abs=0.01)  # the sample's correlation
    assert set(figures) == {*ones, "total_correlation_of_means"}
    assert disentanglement.figures_of_codes(codes * [1, 0, 0], factors) == {}  # one active dimension


def test_the_final_evaluation_has_the_figures_of_the_best_players(monkeypatch):
    images, factors = examples(300)
    test = gx.Batch(images.astype(np.float32) / 255, factors=factors)
    data = SimpleNamespace(range=(0.0, 1.0), test=test)
    nothing = lambda *_: (Facts(), [])
    system = System(None, None, lambda dataset: data, nothing, nothing, nothing, model=MODEL)
    monkeypatch.setattr(disentanglement, "with_known_factors", lambda system, player, names: system)
    whole = disentanglement.with_disentanglement(system, "vae", ("red", "green"), source=SOURCE, batches=20)
    facts, _ = whole.figures({"vae": {}}, data)
    assert facts.further["factor_vae_score"].value == facts.further["beta_vae_score"].value == 1
    assert facts.further["modularity"].value == pytest.approx(1, abs=0.05)
    constant = SimpleNamespace(name="toy", test=test._replace(factors=factors * np.float32([0, 1])))
    with pytest.raises(InputError, match="toy: factors must vary, got 0 in every row of factor 0"):
        whole.prepare(constant)
