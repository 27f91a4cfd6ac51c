"""The losses of beta-TCVAE, FactorVAE and DIP-VAE against exact values, on encoders whose q(z) is known."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.models import LatentVariableModel
from genjax_models.types import Batch
from tests.statistics import assert_mean

KEY, STEP = jax.random.key(0), jnp.int32(0)
MEAN = np.array([[-1.0, -0.5], [0.25, 0.75], [1.0, 0.5]], np.float32)
VARIANCE = np.array([[0.5, 0.3], [0.4, 0.6], [0.7, 0.35]], np.float32)
KL, TOTAL_CORRELATION, STRATIFIED = 0.7842889014939063, 0.14620712017461335, 0.1598674973563412
MU = np.array([[1.0, 1.5], [-1.0, 0.5], [0.0, -2.0]], np.float32)
SIGMA_SQUARED = np.array([[0.2, 0.4], [0.4, 0.4], [0.3, 0.1]], np.float32)


def model_of(mean, variance):
    """A model of examples that are their own index: q(z | x) = N(mean[x], variance[x]), p(x | z) = N(z, I)."""
    pick = lambda rows, x: jnp.asarray(rows)[jnp.int32(x[:, 0])]
    return LatentVariableModel(
        init=lambda key, batch: {"params": {}},
        posterior=lambda variables, x: diagonal_normal(pick(mean, x), jnp.sqrt(pick(variance, x))),
        prior=lambda variables: diagonal_normal(jnp.zeros(2), jnp.ones(2)),
        likelihood=lambda variables, z: diagonal_normal(z[..., :1], jnp.ones_like(z[..., :1])),
    )


INDICES = Batch(np.arange(3, dtype=np.float32)[:, None])


def losses_over_keys(objective, batch, keys):
    """Returns the loss of the only player and its metrics, `[keys]` each."""
    ((player, loss),) = objective.losses.items()
    return jax.jit(jax.vmap(lambda key: loss({player: {"params": {}}}, key, batch, STEP)))(jax.random.split(KEY, keys))


@pytest.mark.parametrize("weights", ["even", "stratified", "weighted"])
def test_the_total_correlation_of_a_beta_tcvae_is_exact_on_a_whole_data_set(weights):
    """And the reported figures are the bound, its KL, and the exact TC, whatever is charged."""
    objective = gx.beta_tcvae(
        model_of(MEAN, VARIANCE), dataset_size=3, total_correlation_weight=5.0, weights=weights, form="kl"
    )
    loss, aux = losses_over_keys(objective, INDICES, 20_000)
    metrics = aux.metrics
    np.testing.assert_allclose(metrics["kl"], KL, rtol=1e-5)
    assert_mean(metrics["total_correlation"], TOTAL_CORRELATION)
    np.testing.assert_allclose(metrics["bound"], metrics["reconstruction"] - metrics["kl"], rtol=1e-5)
    charged = (loss + metrics["bound"]) / 4  # the weight less one
    excess = {"even": 0, "stratified": STRATIFIED - TOTAL_CORRELATION, "weighted": np.log(3)}[weights]
    assert_mean(charged, TOTAL_CORRELATION + excess)
    if weights != "even":
        with pytest.raises(AssertionError):
            assert_mean(charged, TOTAL_CORRELATION)


def test_a_beta_tcvae_of_weight_one_is_the_vae():
    q, p = gx.diagonal_gaussian(3), gx.bernoulli((4,))
    model = gx.latent_variable_model(gx.MLPEncoder((4,), q.outputs, ()), q, gx.MLPGenerator(p.outputs, ()), p)
    batch = Batch(jnp.asarray(np.random.RandomState(0).randint(0, 2, (6, 4)), jnp.float32))
    variables = model.init(KEY, batch)
    ours = gx.beta_tcvae(model, dataset_size=100, total_correlation_weight=1.0)

    def value_and_gradient(objective):
        ((player, loss),) = objective.losses.items()
        return jax.jit(jax.value_and_grad(lambda v: loss({player: v}, KEY, batch, STEP)[0]))(variables)

    (value, gradient), (other, theirs) = map(value_and_gradient, (ours, gx.vae(model)))
    np.testing.assert_allclose(value, other, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), gradient, theirs)


@pytest.mark.parametrize("kind", ["i", "ii"])
def test_a_dip_vae_charges_both_parts_of_the_covariance(kind):
    objective = gx.dip_vae(model_of(MU, SIGMA_SQUARED), kind=kind, off_diagonal_weight=3.0, diagonal_weight=7.0)
    loss, aux = losses_over_keys(objective, INDICES, 2)
    covariance = np.cov(MU.T, bias=True) + (np.diag(SIGMA_SQUARED.mean(0)) if kind == "ii" else 0)
    off_diagonal, diagonal = 2 * covariance[0, 1] ** 2, np.sum((np.diag(covariance) - 1) ** 2)
    np.testing.assert_allclose(aux.metrics["off_diagonal"], off_diagonal, rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["diagonal"], diagonal, rtol=1e-5)
    np.testing.assert_allclose(loss, -aux.metrics["bound"] + 3 * off_diagonal + 7 * diagonal, rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["bound"], aux.metrics["reconstruction"] - aux.metrics["kl"], rtol=1e-5)


# FactorVAE: q(z) = N(0, [[1, 0.5], [0.5, 1]]), x = z less a little noise, and the optimal discriminator.
N, NOISE = 40_000, 0.1
CORRELATED = np.array([[1.0, 0.5], [0.5, 1.0]])
GAUSSIAN_TC, LOSS_AT_OPTIMUM = 0.1438410362259013, 2 * 0.6562263602115025
ENCODER = LatentVariableModel(
    init=lambda key, batch: {"params": {}},
    posterior=lambda variables, x: diagonal_normal(x, NOISE * jnp.ones_like(x)),
    prior=lambda variables: diagonal_normal(jnp.zeros(2), jnp.ones(2)),
    likelihood=lambda variables, z: diagonal_normal(z, jnp.ones_like(z)),
)


class OptimalDiscriminator(nn.Module):
    """The logit log q(z) - sum_j log q(z_j)."""

    @nn.compact
    def __call__(self, z):
        scale = self.param("scale", nn.initializers.ones, ())
        excess = jnp.asarray(np.eye(2) - np.linalg.inv(CORRELATED), z.dtype)
        return scale * (GAUSSIAN_TC + 0.5 * jnp.einsum("ni,ij,nj->n", z, excess, z))


@pytest.fixture(scope="module")
def game():
    root = np.linalg.cholesky(CORRELATED - NOISE**2 * np.eye(2))
    batch = Batch(jnp.asarray(np.random.RandomState(0).normal(size=(N, 2)) @ root.T, jnp.float32))
    objective = gx.factor_vae(ENCODER, OptimalDiscriminator(), total_correlation_weight=20.0)
    return objective, objective.init(KEY, batch), batch


def test_a_factor_vae_is_charged_the_mean_logit_of_its_own_codes(game):
    """E_q of the optimal logit is TC, 0.144; on permuted codes it is -0.189. The logit has a spread of 0.6."""
    objective, players, batch = game
    loss, aux = jax.jit(objective.losses["vae"])(players, KEY, batch, STEP)
    assert abs(aux.metrics["total_correlation"] - GAUSSIAN_TC) < 5 * 0.6 / (N / 2) ** 0.5
    np.testing.assert_allclose(loss, 20 * aux.metrics["total_correlation"] - aux.metrics["bound"], rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["bound"], aux.metrics["reconstruction"] - aux.metrics["kl"], rtol=1e-5)


def test_the_discriminator_sees_independent_permutations(game):
    """Its loss at the optimum is twice log 2 - JSD. With one permutation for all dimensions it is above log 4."""
    objective, players, batch = game
    loss, aux = jax.jit(objective.losses["discriminator"])(players, KEY, batch, STEP)
    assert abs(loss - LOSS_AT_OPTIMUM) < 5 * 0.5 / (N / 2) ** 0.5
    z = np.random.RandomState(1).normal(size=(200_000, 2)).astype(np.float32)
    logit = lambda z: OptimalDiscriminator().apply({"params": {"scale": 1.0}}, z)
    own, permuted = logit(z @ np.float32(np.linalg.cholesky(CORRELATED)).T) > 0, logit(z) < 0
    exact = (own.mean() + permuted.mean()) / 2
    assert abs(aux.metrics["accuracy"] - exact) < 5 * (0.5 / N**0.5 + 0.5 / 400_000**0.5)


def test_the_discriminator_permutes_codes_that_the_vae_does_not_see(game):
    """The gradient of the VAE's loss is of the first half; the discriminator needs both halves."""
    objective, players, batch = game
    small = batch.x[:8]

    def seen(player):
        loss = lambda x: objective.losses[player](players, KEY, batch._replace(x=x), STEP)[0]
        return np.any(np.asarray(jax.jit(jax.grad(loss))(small)) != 0, axis=1).reshape(4, 2)

    np.testing.assert_array_equal(seen("vae"), [[True, False]] * 4)
    np.testing.assert_array_equal(seen("discriminator"), [[True, True]] * 4)


REFUSED = [
    (lambda b: gx.dip_vae(ENCODER, kind="iii"), "kind must be one of .*, got 'iii'"),
    (
        lambda b: gx.factor_vae(ENCODER, OptimalDiscriminator()).losses["vae"]({}, KEY, b, STEP),
        "a batch must have an even number of examples, at least 4, got 3",
    ),
    (
        lambda b: losses_over_keys(gx.beta_tcvae(model_of(MEAN, VARIANCE), dataset_size=2), b, 1),
        "dataset_size must be an integer of at least 3, got 2",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(INDICES)


def test_a_discriminator_of_several_arrays_is_refused():
    lower, upper, x = gx.diagonal_gaussian(3), gx.diagonal_gaussian(2), gx.bernoulli((4,))
    encoders = gx.MLPEncoder((4,), lower.outputs, ()), gx.MLPEncoder((3,), upper.outputs, ())
    generators = gx.MLPGenerator(x.outputs, ()), gx.MLPGenerator(lower.outputs, ())
    model = gx.hierarchical_model(encoders, (lower, upper), generators, (x, lower))
    with pytest.raises(ValueError, match="the discriminator needs one array z, got a tuple"):
        gx.factor_vae(model, gx.MLPDiscriminator((3,))).init(KEY, Batch(jnp.zeros((4, 4))))
