"""The terms of an InfoVAE, its limits, and an aggregate posterior that is known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.objectives.info_vae import info_vae
from genjax_models.types import Batch

KEY = jax.random.key(0)
X = jnp.asarray(np.random.RandomState(0).normal(size=(64, 4)), jnp.float32)
KERNEL = gx.rational_quadratic_kernel(2.0**0.5)


@pytest.fixture(scope="module")
def model():
    q, p = gx.diagonal_gaussian(2), gx.gaussian((4,), 1.0)
    return gx.latent_variable_model(gx.MLPEncoder((4,), q.outputs, ()), q, gx.MLPGenerator(p.outputs, ()), p)


def loss_and_metrics(model, variables, **options):
    objective = info_vae(model, KERNEL, **options)
    loss, aux = jax.jit(lambda v: objective.losses["info_vae"]({"info_vae": v}, KEY, Batch(X), 0))(variables)
    return float(loss), {name: float(value) for name, value in aux.metrics.items()}


@pytest.mark.parametrize(("alpha", "weight"), [(1.0, 50.0), (0.0, 0.0), (-1.0, 3.0)])
def test_the_loss_is_made_of_its_terms(model, alpha, weight):
    loss, terms = loss_and_metrics(model, model.init(KEY, Batch(X)), alpha=alpha, mmd_weight=weight)
    assert terms["bound"] == pytest.approx(terms["reconstruction"] - terms["kl"], rel=1e-5)
    raised = terms["reconstruction"] - (1 - alpha) * terms["kl"] - weight * terms["mmd_squared_unbiased"]
    assert loss == pytest.approx(-raised, rel=1e-5)


def test_with_all_of_the_kl_and_no_mmd_it_is_the_vae(model):
    variables = model.init(KEY, Batch(X))
    loss, terms = loss_and_metrics(model, variables, alpha=0.0, mmd_weight=0.0)
    key = jax.random.split(KEY, 3)[0]
    expected, aux = gx.vae(model).losses["vae"]({"vae": variables}, key, Batch(X), 0)
    np.testing.assert_allclose([loss, terms["bound"]], [expected, aux.metrics["bound"]], rtol=1e-5)


@pytest.mark.slow
def test_the_mmd_is_of_the_aggregate_posterior_and_the_prior(model):
    """An encoder that says N(m, s^2) whatever x is: MMD^2 between two Gaussians, by its closed form."""
    objective = info_vae(model, gx.gaussian_kernel(1.0))
    variables = jax.tree.map(jnp.zeros_like, model.init(KEY, Batch(X)))
    encoder = variables["params"]["encoder"]
    encoder["mean"]["bias"] = jnp.array([1.0, 0.0])
    encoder["raw_scale"]["bias"] = jnp.full(2, np.log(np.expm1(0.5)))
    batch = Batch(jnp.zeros((20_000, 4)))
    _, aux = jax.jit(lambda v: objective.losses["info_vae"]({"info_vae": v}, KEY, batch, 0))(variables)

    def mean_kernel(distance, variances):
        return np.exp(-(distance**2) / (2 * (1 + variances))) / (1 + variances)  # two dimensions

    exact = mean_kernel(0, 0.5) + mean_kernel(0, 2) - 2 * mean_kernel(1, 1.25)
    np.testing.assert_allclose(aux.metrics["mmd_squared_unbiased"], exact, atol=0.01)


@pytest.mark.slow
def test_it_brings_the_aggregate_posterior_to_the_prior_without_a_kl(model):
    """Data in a plane of four dimensions, far from the origin, with a likelihood that sees them clearly."""
    basis = np.linalg.qr(np.random.RandomState(1).normal(size=(4, 2)))[0]
    data = Batch(jnp.asarray(3 + 2 * np.random.RandomState(2).normal(size=(4_000, 2)) @ basis.T, jnp.float32))
    objective = info_vae(model, KERNEL, mmd_weight=100.0)
    train = gx.trainer(objective, {"info_vae": optax.adam(optax.cosine_decay_schedule(0.02, 800))})
    state, metrics = gx.loop_over_data(train, batch_size=200, chunk=800)(train.init(KEY, data), data, 800)
    variables = state.variables["info_vae"]
    z = model.posterior(variables, data.x).sample(seed=KEY)
    np.testing.assert_allclose(z.mean(0), 0, atol=0.15)
    np.testing.assert_allclose(np.cov(z.T), np.eye(2), atol=0.2)
    assert float(metrics["info_vae/kl"][-1]) > 2  # each q(z | x) is far from the prior: z says what x is
    back = model.generate(variables, model.posterior(variables, data.x).mean())
    assert float(np.mean((back - data.x) ** 2)) < 0.05


def test_a_z_of_several_arrays_is_refused():
    lower, upper, x = gx.diagonal_gaussian(3), gx.diagonal_gaussian(2), gx.gaussian((4,), 1.0)
    encoders = gx.MLPEncoder((4,), lower.outputs, ()), gx.MLPEncoder((3,), upper.outputs, ())
    generators = gx.MLPGenerator(x.outputs, ()), gx.MLPGenerator(lower.outputs, ())
    model = gx.hierarchical_model(encoders, (lower, upper), generators, (x, lower))
    objective = info_vae(model, KERNEL, form="monte_carlo")
    with pytest.raises(ValueError, match="the MMD needs one array z, got a tuple"):
        objective.losses["info_vae"](objective.init(KEY, Batch(X)), KEY, Batch(X), 0)
