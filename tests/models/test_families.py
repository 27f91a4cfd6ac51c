"""Families against scipy in float64: what a network emits becomes the distribution that the family names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax_models.models import (
    bernoulli,
    coupling_flow,
    diagonal_gaussian,
    discretised_logistic,
    full_covariance_gaussian,
    gaussian,
    latent_variable_model,
    logistic_mixture,
    positive,
)
from genjax_models.networks import MLPEncoder, MLPGenerator
from genjax_models.types import Batch

RANDOM = np.random.RandomState(0)
# Of one example and of the batch; where all sizes are equal, a wrong broadcast shows in the values alone.
SHAPES_AND_LEADS = [((5,), (4,)), ((4, 3, 2), (2, 4)), ((3, 3), (3, 3))]
TAILS = stats.logistic.cdf, stats.logistic.sf
SCALES = [0.3, "global", "isotropic", "diagonal"]


def normal(*shape):
    return np.asarray(RANDOM.normal(size=shape), np.float32)


def parameters(family, lead):
    """Random parameters as a network would emit them: constants are the same along every leading axis."""
    emitted = {
        name: normal(*lead, *output.shape) if output.of_input else normal(*output.shape)
        for name, output in family.outputs.items()
    }
    return {name: np.broadcast_to(p, (*lead, *family.outputs[name].shape)) for name, p in emitted.items()}


def scale_of(raw):
    """Softplus in float64, and the floor that keeps gradients alive."""
    return np.logaddexp(0, raw.astype(np.float64)) + 1e-4


def summed(log_probs, shape):
    return log_probs.sum(axis=tuple(range(-len(shape), 0)))


def sigma(p, scale, shape):
    match scale:
        case "global" | "isotropic":
            return scale_of(p["raw_scale"]).reshape(*p["raw_scale"].shape, *[1] * len(shape))
        case "diagonal":
            return scale_of(p["raw_scale"])
    return scale


def log_prob_of(family, p, x, shape, lead):
    """Of x under the distribution with these parameters, whose shapes are those that were declared."""
    distribution = family.distribution(p)
    assert family.event_shape == distribution.event_shape == shape
    assert distribution.batch_shape == lead
    draw = lambda p: family.distribution(p).sample(seed=jax.random.key(0), sample_shape=2)
    assert jax.eval_shape(draw, p).shape == (2, *lead, *shape)
    log_prob, mean = jax.jit(lambda p, x: (family.distribution(p).log_prob(x), family.distribution(p).mean()))(p, x)
    assert (log_prob.shape, mean.shape) == (lead, (*lead, *shape))
    return log_prob


def assert_close(log_prob, expected):
    np.testing.assert_allclose(log_prob, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("shape", "lead"), SHAPES_AND_LEADS)
def test_bernoulli_is_that_of_scipy(shape, lead):
    family = bernoulli(shape)
    p, x = parameters(family, lead), (normal(lead[-1], *shape) > 0).astype(np.float32)
    probability = stats.logistic.cdf(p["logits"].astype(np.float64))
    assert_close(log_prob_of(family, p, x, shape, lead), summed(stats.bernoulli.logpmf(x, probability), shape))
    np.testing.assert_allclose(family.distribution(p).mean(), probability, rtol=1e-5)


@pytest.mark.parametrize(("shape", "lead"), SHAPES_AND_LEADS)
@pytest.mark.parametrize("scale", SCALES)
def test_gaussian_is_that_of_scipy(scale, shape, lead):
    family = gaussian(shape, scale)
    p, x = parameters(family, lead), normal(lead[-1], *shape)
    s, mean = sigma(p, scale, shape), p["mean"].astype(np.float64)
    log_prob = log_prob_of(family, p, x, shape, lead)
    assert_close(log_prob, summed(stats.norm.logpdf(x, mean, s), shape))
    with pytest.raises(AssertionError):  # sigma taken for a variance
        assert_close(log_prob, summed(stats.norm.logpdf(x, mean, np.sqrt(s)), shape))


def test_scale_is_a_standard_deviation():
    p = {"mean": np.zeros((1, 4), np.float32)}
    samples = gaussian((4,), 0.25).distribution(p).sample(seed=jax.random.key(0), sample_shape=10_000)
    np.testing.assert_allclose(np.std(samples), 0.25, rtol=0.03)  # 5 standard errors are 0.018; a variance gives 0.5


def test_isotropic_has_one_sigma_for_each_z():
    family = gaussian((3, 3), "isotropic")
    p = parameters(family, (3, 3))
    assert p["raw_scale"].shape == (3, 3)
    distribution = family.distribution(p).vectors.distribution
    np.testing.assert_allclose(
        distribution.scale, np.broadcast_to(scale_of(p["raw_scale"])[..., None], (3, 3, 9)), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("scale", "outputs"),
    [
        (0.3, {"mean": ((4, 3, 2), True)}),
        ("global", {"mean": ((4, 3, 2), True), "raw_scale": ((), False)}),
        ("isotropic", {"mean": ((4, 3, 2), True), "raw_scale": ((), True)}),
        ("diagonal", {"mean": ((4, 3, 2), True), "raw_scale": ((4, 3, 2), True)}),
    ],
)
def test_what_is_learned_of_sigma_is_what_its_name_says(scale, outputs):
    assert {name: tuple(output) for name, output in gaussian((4, 3, 2), scale).outputs.items()} == outputs


@pytest.mark.parametrize("scale", [0, -1.0, np.nan, np.inf, True, False, "globl", "0.3"])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(ValueError, match=rf"positive and finite, or one of .*'global', .*got {scale!r}"):
        gaussian((3,), scale)


@pytest.mark.parametrize(("shape", "lead"), SHAPES_AND_LEADS)
def test_discretised_logistic_is_that_of_scipy(shape, lead):
    family = discretised_logistic(shape)
    p, x = parameters(family, lead), RANDOM.randint(0, 256, (lead[-1], *shape)).astype(np.float32) / np.float32(255)
    mean, s = 0.5 + p["mean"].astype(np.float64), scale_of(p["raw_scale"] - 2)
    log_prob = log_prob_of(family, p, x, shape, lead)

    def expected(levels):
        """With edges half a level from x; of the two tails, by the one whose difference does not cancel."""
        edges = [np.where(x == 0, -np.inf, x - 0.5 / levels), np.where(x == 1, np.inf, x + 0.5 / levels)]
        below, above = (np.diff([tail(edge, mean, s) for edge in edges], axis=0)[0] for tail in TAILS)
        return summed(np.log(np.where(x < mean, below, -above)), shape)

    assert_close(log_prob, expected(255))
    with pytest.raises(AssertionError):
        assert_close(log_prob, expected(256))


@pytest.mark.parametrize(("shape", "lead"), SHAPES_AND_LEADS[1:])
def test_a_logistic_mixture_is_the_weighted_sum_of_rounded_logistics(shape, lead):
    family, single = logistic_mixture(shape, 4), discretised_logistic(shape)
    p, x = parameters(family, lead), RANDOM.randint(0, 256, (lead[-1], *shape)).astype(np.float32) / np.float32(255)
    weights = np.exp(np.float64(p["logits"])) / np.exp(np.float64(p["logits"])).sum(axis=-1, keepdims=True)
    total = 0.0
    for m in range(4):
        mean, raw_scale = p["mean"][..., m] + (m + 0.5) / 4 - 0.5, p["raw_scale"][..., m]
        each = single.distribution({"mean": mean, "raw_scale": raw_scale}).vectors.distribution
        total += weights[..., m] * np.exp(np.float64(each.log_prob(x.reshape(lead[-1], -1)))).reshape(*lead, *shape)
    assert_close(log_prob_of(family, p, x, shape, lead), summed(np.log(total), shape))


def test_a_logistic_mixture_without_components_is_refused():
    with pytest.raises(ValueError, match="components must be an integer of at least 1, got 0"):
        logistic_mixture((2,), 0)


def test_a_new_discretised_logistic_is_in_the_middle_of_the_range():
    family = discretised_logistic((2,))
    distribution = family.distribution({name: jnp.zeros((1, *o.shape)) for name, o in family.outputs.items()})
    np.testing.assert_allclose(distribution.vectors.distribution.mean_, 0.5)
    np.testing.assert_allclose(distribution.vectors.distribution.scale, 0.127, atol=1e-3)


@pytest.mark.parametrize(("latent", "lead"), [(1, (4,)), (3, (2, 4)), (3, (3, 3))])
def test_diagonal_posterior_is_that_of_scipy(latent, lead):
    family = diagonal_gaussian(latent)
    p, z = parameters(family, lead), normal(*lead, latent)
    mean, s = p["mean"].astype(np.float64), scale_of(p["raw_scale"])
    log_prob = log_prob_of(family, p, z, (latent,), lead)
    assert_close(log_prob, stats.norm.logpdf(z, mean, s).sum(-1))
    with pytest.raises(AssertionError):  # sigma taken for a variance
        assert_close(log_prob, stats.norm.logpdf(z, mean, np.sqrt(s)).sum(-1))


@pytest.mark.parametrize(("latent", "lead"), [(1, (4,)), (3, (2, 4)), (3, (3, 3))])
def test_full_covariance_posterior_is_that_of_scipy(latent, lead):
    family = full_covariance_gaussian(latent)
    assert family.outputs["raw_factor"].shape == (latent * (latent + 1) // 2,)
    p, z = parameters(family, lead), normal(*lead, latent)
    covariance = np.asarray(family.distribution(p).covariance(), np.float64)
    expected = np.empty(lead)
    for index in np.ndindex(lead):
        factor, entries = np.zeros((latent, latent)), iter(p["raw_factor"][index])
        for row in range(latent):
            for column in range(row + 1):
                entry = next(entries)
                factor[row, column] = scale_of(entry) if row == column else entry
        np.testing.assert_allclose(covariance[index], factor @ factor.T, rtol=1e-4, atol=1e-5)
        expected[index] = stats.multivariate_normal.logpdf(z[index], p["mean"][index], factor @ factor.T)
    assert_close(log_prob_of(family, p, z, (latent,), lead), expected)


@pytest.mark.parametrize(("latent", "layers"), [(2, 1), (3, 3)])
def test_the_density_of_a_flow_is_that_of_the_change_of_variables(latent, layers):
    """log q(z) = log N(u) - log |det dz/du|, with the Jacobian of all couplings together by autodiff."""
    family = coupling_flow(latent, layers)
    p = parameters(family, (4,))
    z = family.distribution(p).sample(seed=jax.random.key(0), sample_shape=3)
    assert z.shape == (3, 4, latent)
    log_prob = family.distribution(p).log_prob(z)
    for example in range(4):
        one = family.distribution({name: value[example] for name, value in p.items()})
        u = one.bijector.inverse(z[0, example])
        _, log_determinant = np.linalg.slogdet(jax.jacobian(one.bijector.forward)(u))
        mean, scale = p["mean"][example], scale_of(p["raw_scale"][example])
        expected = stats.norm.logpdf(u, mean, scale).sum() - log_determinant
        np.testing.assert_allclose(log_prob[0, example], expected, rtol=1e-4)


def test_couplings_move_half_of_the_numbers_by_the_other_half():
    """One layer leaves z_0 and z_2; where all weights are zero nothing moves."""
    p = parameters(coupling_flow(3, 1), ())
    moved = coupling_flow(3, 1).distribution(p).bijector.forward(jnp.ones(3))
    np.testing.assert_array_equal(moved == 1, [True, False, True])
    still = coupling_flow(3, 4).distribution(jax.tree.map(np.zeros_like, parameters(coupling_flow(3, 4), ())))
    np.testing.assert_array_equal(still.bijector.forward(jnp.arange(3.0)), jnp.arange(3.0))


def test_a_flow_of_one_number_is_refused():
    with pytest.raises(ValueError, match="at least 2 dimensions and 1 layer, got 1 and 2"):
        coupling_flow(1)


def test_fault_19_scales_never_overflow_vanish_or_lose_their_gradient():
    raw = jnp.array([-1e4, -100.0, 0.0, 100.0, 1e4])
    np.testing.assert_allclose(positive(raw), [1e-4, 1e-4, np.log(2) + 1e-4, 100 + 1e-4, 1e4], rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.grad(positive))(raw), [0, 0, 0.5, 1, 1], atol=1e-6)


@pytest.mark.slow
def test_a_model_wires_networks_to_families():
    posterior, likelihood = full_covariance_gaussian(2), gaussian((3, 2), "isotropic")
    encoder = MLPEncoder((3, 2), posterior.outputs, hidden=(8,))
    model = latent_variable_model(encoder, posterior, MLPGenerator(likelihood.outputs, hidden=(8,)), likelihood)
    variables = jax.jit(model.init)(jax.random.key(0), Batch(jnp.zeros((4, 3, 2))))
    assert model.posterior(variables, jnp.ones((4, 3, 2))).batch_shape == (4,)
    assert model.likelihood(variables, jnp.ones((5, 4, 2))).batch_shape == (5, 4)
    np.testing.assert_allclose(model.prior(variables).log_prob(jnp.ones(2)), -1 - np.log(2 * np.pi), rtol=1e-6)
    draws, means = (model.sample(variables, jax.random.key(1), 6, mean=mean) for mean in (False, True))
    assert draws.shape == means.shape == (6, 3, 2)
    assert jnp.all(jnp.std(means, axis=0) > 1e-4)  # another z for each draw
    assert jnp.all(draws != means)
