"""Forward and reverse chains against linear-Gaussian models, whose every expectation is exact, and by quadrature."""

import inspect
import sys
import types
from functools import cache, partial

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators import annealing, annealing_path, hamiltonian
from genjax_models.estimators.annealing import (
    annealed_importance_sampling,
    lower_bound,
    reverse_annealed_importance_sampling,
    upper_bound,
)
from genjax_models.estimators.annealing_path import linear_schedule, sigmoidal_schedule
from genjax_models.estimators.distributions import Bernoulli, FullCovarianceNormal, diagonal_normal
from genjax_models.estimators.step_size_adaptation import adapt_step_size
from tests.statistics import STANDARD_ERRORS, assert_mean

# One latent: z ~ N(0, 1), x | z ~ N(w z + b, s2).
W, B, S2 = 1.5, -0.25, 0.5
X = np.array([[1.7], [0.0], [-1.4]], np.float32)
LOG_P = -0.5 * ((X[:, 0].astype(float) - B) ** 2 / (W**2 + S2) + np.log(2 * np.pi * (W**2 + S2)))
LOG_P[0] = -2.116102625407549
POSTERIOR_MEAN, POSTERIOR_VARIANCE = (X - B) * W / (W**2 + S2), S2 / (W**2 + S2)
# With transitions that forget where they were, T -> the mean log-weight forward and in reverse, Var[w] / p^2 forward.
PERFECT = {
    10: (-2.427315628642322, -1.875544967485297, 0.48747795320549864),
    1000: (-2.1188651292912706, -2.1133474226797, 0.0055110248155683305),
}

# Two latents: z ~ N(0, I_2), x | z ~ N(W z + b, 0.25 I_3).
W2 = np.array([[1.0, -0.5], [0.3, 0.8], [-0.7, 0.2]], np.float32)
B2 = np.array([0.1, -0.2, 0.3], np.float32)
X2 = np.array([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 0.5, -0.75]], np.float32)
LOG_P2 = np.array([-7.668093387249674, -2.5943862751160305, -3.3264759020040966])
POSTERIOR_MEAN2 = np.array([[-0.7079123737, -0.6636991097], [0.1303391017, 0.1713013904], [1.0688706612, 0.277583275]])
POSTERIOR_COVARIANCE2 = np.array([[0.14754426327898368, 0.0500150045013504], [0.0500150045013504, 0.2288186455936781]])

compiled = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # what runs short compiles quickly


def standard_normal(size):
    return diagonal_normal(jnp.zeros(size), jnp.ones(size))


def likelihood(z):
    return diagonal_normal(W * z + B, jnp.full(z.shape, S2**0.5))


def likelihood2(z):
    mean = z @ W2.T + B2
    return diagonal_normal(mean, jnp.full(mean.shape, 0.5))


def posterior_samples(key, num_chains):
    return POSTERIOR_MEAN + POSTERIOR_VARIANCE**0.5 * jax.random.normal(key, (num_chains, *X.shape))


def posterior_samples2(key, num_chains):
    factor = jnp.tile(jnp.linalg.cholesky(POSTERIOR_COVARIANCE2), (3, 1, 1))
    posterior = FullCovarianceNormal(jnp.asarray(POSTERIOR_MEAN2, jnp.float32), factor)
    return posterior.sample(seed=key, sample_shape=num_chains)


ROUGH = {"schedule": np.array([0.0, 0.05, 0.3, 0.6, 1.0]), "step_size": 0.7, "num_leapfrog": 2}  # far from mixing
NUM_CHAINS = 50_000


def assert_forward_weights_are_unbiased(module=annealing, **settings):
    """E[w] = p(x), with transitions that mix badly, and often reject."""
    settings = {"num_chains": NUM_CHAINS, **ROUGH, **settings}
    forward = lambda key: module.annealed_importance_sampling(key, X, standard_normal(1), likelihood, **settings)
    assert_mean(np.exp(compiled(forward)(jax.random.key(0)).log_weights - LOG_P), 1.0)


@cache
def forward_log_weights():
    forward = lambda key: annealed_importance_sampling(
        key, X, standard_normal(1), likelihood, num_chains=NUM_CHAINS, **ROUGH
    )
    return compiled(forward)(jax.random.key(1)).log_weights


def assert_reverse_weights_are_of_the_same_path(module=annealing):
    """E_reverse[g(w)] = E_forward[g(w) w / p(x)] for any g; here g(w) = 1 / (1 + w / p(x)), bounded (Bennett, 1976)."""

    def reverse(key):
        posterior_key, reverse_key = jax.random.split(key)
        z = posterior_samples(posterior_key, NUM_CHAINS)
        return module.reverse_annealed_importance_sampling(
            reverse_key, X, z, standard_normal(1), likelihood, **ROUGH
        ).log_weights

    reverse_log_weights = compiled(reverse)(jax.random.key(2))
    assert_mean(jax.nn.sigmoid(forward_log_weights() - LOG_P) - jax.nn.sigmoid(LOG_P - reverse_log_weights), 0.0)


def assert_bounds_are_the_arithmetic_and_the_harmonic_mean(module=annealing):
    log_weights = jnp.log(jnp.array([[1.0, 2.0], [4.0, 2.0]]))
    np.testing.assert_allclose(module.lower_bound(log_weights), np.log([2.5, 2.0]), rtol=1e-6)
    np.testing.assert_allclose(module.upper_bound(log_weights), np.log([1.6, 2.0]), rtol=1e-6)


def test_bounds_are_the_arithmetic_and_the_harmonic_mean():
    assert_bounds_are_the_arithmetic_and_the_harmonic_mean()


def test_forward_weights_are_unbiased_at_few_temperatures():
    assert_forward_weights_are_unbiased()


def test_reverse_weights_are_of_the_same_path():
    assert_reverse_weights_are_of_the_same_path()


def test_forward_weights_are_unbiased_over_two_latents():
    settings = {"schedule": sigmoidal_schedule(6), "step_size": np.array([0.3, 0.5, 0.4]), "num_leapfrog": 3}
    forward = lambda key: annealed_importance_sampling(
        key, X2, standard_normal(2), likelihood2, num_chains=NUM_CHAINS, **settings
    )
    chains = compiled(forward)(jax.random.key(0))
    assert chains.log_weights.shape == (NUM_CHAINS, 3)
    assert chains.z.shape == (NUM_CHAINS, 3, 2)
    assert_mean(np.exp(chains.log_weights - LOG_P2), 1.0)


# Mistakes, each planted in the source: what it reads, what it would read, and the check that sees it.
forward, reverse = assert_forward_weights_are_unbiased, assert_reverse_weights_are_of_the_same_path
means = assert_bounds_are_the_arithmetic_and_the_harmonic_mean
MISTAKES = {
    "a transition at the temperature before its own": ("asarray(beta[1:])", "asarray(beta[:-1])", forward),
    "increments in the wrong order": ("np.diff(beta))", "np.diff(beta)[::-1])", forward),
    "reverse chains that walk the schedule forward": ("transitions, reverse=True)", "transitions)", reverse),
    "no Metropolis correction": ("acceptance.shape) < acceptance", "acceptance.shape) < 1", forward),
    "a Metropolis ratio without the momentum": (
        "(end_value - kinetic(end_momentum)) - (start_value - kinetic(momentum))", "end_value - start_value", forward),
    "momentum that is never refreshed": ("split(key, transitions)", "split(key, 1).repeat(transitions)", forward),
    "a path without the prior": ("ratio: initial + beta", "ratio: beta", reverse),
    "an upper bound of the wrong sign": ("-lower_bound(-log_weights)", "lower_bound(-log_weights)", means),
    "an upper bound that is the lower one": ("-lower_bound(-log_weights)", "lower_bound(log_weights)", means),
    "a log-density without its temperature": ("initial + beta * ratio", "initial + ratio", reverse),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_planted_mistakes_are_seen(mistake, monkeypatch):
    right, wrong, check = MISTAKES[mistake]
    sources = {module.__name__: inspect.getsource(module) for module in (hamiltonian, annealing_path, annealing)}
    assert sum(right in source for source in sources.values()) == 1
    for name, source in sources.items():  # in the order of their imports: each mutant imports the mutants before it
        for original in sources:
            source = source.replace(f"from {original} import", f"from mutant_{original.rpartition('.')[2]} import")
        mutant = types.ModuleType(f"mutant_{name.rpartition('.')[2]}")
        monkeypatch.setitem(sys.modules, mutant.__name__, mutant)
        exec(source.replace(right, wrong), mutant.__dict__)
    with pytest.raises(AssertionError, match="Mismatched"):
        check(mutant)


@pytest.mark.parametrize("transitions", PERFECT)
def test_with_perfect_transitions_log_weights_have_the_closed_form(transitions):
    # A quarter of a period of the leapfrog map takes z to a multiple of the fresh momentum: z is forgotten. About one
    # proposal in a thousand is rejected, hence the tolerance.
    schedule, num_leapfrog, n = linear_schedule(transitions + 1), 12, 200_000 // transitions
    frequency = np.sqrt(1 + schedule[1:] * W**2 / S2)
    step_size = 2 * np.sin(np.pi / 4 / num_leapfrog) / frequency
    settings = {"schedule": schedule, "step_size": step_size[:, None], "num_leapfrog": num_leapfrog}
    x, prior = X[:1], standard_normal(1)
    z = posterior_samples(jax.random.key(0), n)[:, :1]
    forward, reverse = compiled(
        lambda forward_key, reverse_key: (
            annealed_importance_sampling(forward_key, x, prior, likelihood, num_chains=n, **settings),
            reverse_annealed_importance_sampling(reverse_key, x, z, prior, likelihood, **settings),
        )
    )(jax.random.key(1), jax.random.key(2))
    lower, upper, relative_variance = PERFECT[transitions]
    assert forward.acceptance[0] > 0.995
    assert_mean(forward.log_weights[:, 0], lower, float_error=2e-3)
    assert_mean(reverse.log_weights[:, 0], upper, float_error=2e-3)
    weights = np.exp(forward.log_weights[:, 0] - LOG_P[0])
    assert_mean(weights, 1.0)
    assert_mean((weights - 1) ** 2, relative_variance, float_error=2e-3)
    # Forward chains end in the posterior, reverse ones at the first temperature.
    beta = schedule[1]
    assert_mean(forward.z[:, 0], POSTERIOR_MEAN[0], float_error=5e-3)
    assert_mean(reverse.z[:, 0], beta * W * (x[0] - B) / (S2 + beta * W**2), float_error=5e-3)


@partial(compiled, static_argnums=0)
def bounds_of_both_directions(num_temperatures):
    """Log-weights of two latents' model, forward and reverse, with one step size for both."""
    pilot_key, forward_key, posterior_key, reverse_key = jax.random.split(jax.random.key(0), 4)
    num_chains = 64
    model = standard_normal(2), likelihood2
    schedule = sigmoidal_schedule(num_temperatures)
    step_size = adapt_step_size(
        pilot_key, X2, *model, num_chains=num_chains, schedule=schedule, num_updates=2, num_leapfrog=5
    )
    settings = {"schedule": schedule, "step_size": step_size, "num_leapfrog": 5}
    forward = annealed_importance_sampling(forward_key, X2, *model, num_chains=num_chains, **settings)
    z = posterior_samples2(posterior_key, num_chains)
    reverse = reverse_annealed_importance_sampling(reverse_key, X2, z, *model, **settings)
    return forward.log_weights, reverse.log_weights


@pytest.mark.slow
def test_the_two_bounds_meet_at_log_p_as_temperatures_grow():
    gaps = []
    for num_temperatures in (10, 1000):
        forward, reverse = bounds_of_both_directions(num_temperatures)
        # The bounds of single chains: means of log-weights.
        gaps.append(np.mean(reverse, axis=0) - np.mean(forward, axis=0))
    assert (gaps[0] > 10 * gaps[1]).all()
    np.testing.assert_allclose(lower_bound(forward), LOG_P2, atol=0.05)
    np.testing.assert_allclose(upper_bound(reverse), LOG_P2, atol=0.05)


# A posterior that is not Gaussian: z ~ N(0, 1), x_i | z ~ Bernoulli(sigmoid(w_i z + b_i)).
SLOPES = np.array([4.0, -2.0, 3.0, 1.0, -5.0, 2.5], np.float32)
OFFSETS = np.array([-1.0, 0.5, 2.0, 0.0, -2.0, 1.0], np.float32)


def coins(z):
    return distrax.Independent(Bernoulli(z * SLOPES + OFFSETS), 1)


def log_p_by_quadrature(x):
    z = np.linspace(-12, 12, 2_001)[:, None]
    logits = z * SLOPES.astype(float) + OFFSETS
    log_joint = x @ logits.T - np.logaddexp(0, logits).sum(axis=-1) - 0.5 * (z[:, 0] ** 2 + np.log(2 * np.pi))
    return np.log(np.exp(log_joint).sum(axis=-1) * (z[1, 0] - z[0, 0]))


@pytest.mark.slow
def test_bounds_sandwich_log_p_of_data_that_the_model_drew():
    latent_key, data_key, *keys = jax.random.split(jax.random.key(0), 5)
    prior, n = standard_normal(1), 2_000
    z = prior.sample(seed=latent_key, sample_shape=(1, n))
    x = coins(z).sample(seed=data_key)[0]
    exact = log_p_by_quadrature(np.asarray(x, float))

    def weights(num_temperatures):
        pilot_key, forward_key, reverse_key = keys
        settings = {"schedule": linear_schedule(num_temperatures), "num_leapfrog": 4}
        settings["step_size"] = adapt_step_size(pilot_key, x, prior, coins, num_chains=4, num_updates=1, **settings)
        forward = annealed_importance_sampling(forward_key, x, prior, coins, num_chains=4, **settings)
        four = jnp.tile(z, (4, 1, 1))  # there is one exact sample for each x: every chain may start there
        reverse = reverse_annealed_importance_sampling(reverse_key, x, four, prior, coins, **settings)
        return forward.log_weights, reverse.log_weights

    excess = {}
    for num_temperatures in (3, 40):
        forward, reverse = compiled(weights, static_argnums=0)(num_temperatures)
        assert_mean(np.exp(forward - exact).T, 1.0)
        excess["lower", num_temperatures] = np.asarray(lower_bound(forward), float) - exact
        excess["upper", num_temperatures] = np.asarray(upper_bound(reverse), float) - exact
    error = {case: STANDARD_ERRORS * values.std() / np.sqrt(n) for case, values in excess.items()}
    mean = {case: values.mean() for case, values in excess.items()}
    for num_temperatures in (3, 40):
        assert mean["lower", num_temperatures] < -error["lower", num_temperatures]
        assert mean["upper", num_temperatures] > error["upper", num_temperatures]
    assert mean["upper", 40] - mean["lower", 40] < 0.2 * (mean["upper", 3] - mean["lower", 3])
    assert mean["upper", 40] - mean["lower", 40] < 0.15


class Chain(distrax.Distribution):
    """p(top) p(bottom | top) of two layers, as a dictionary: top ~ N(0, 1), bottom ~ N(0.8 top, 0.36 I_2)."""

    event_shape = {"top": (), "bottom": (2,)}  # noqa: RUF012

    def log_prob(self, value):
        top, bottom = value["top"], value["bottom"]
        below = diagonal_normal(jnp.broadcast_to(0.8 * top[..., None], bottom.shape), jnp.full(bottom.shape, 0.6))
        return distrax.Normal(0.0, 1.0).log_prob(top) + below.log_prob(bottom)

    def _sample_n(self, key, n):
        top_key, bottom_key = jax.random.split(key)
        top = jax.random.normal(top_key, (n,))
        return {"top": top, "bottom": 0.8 * top[:, None] + 0.6 * jax.random.normal(bottom_key, (n, 2))}


@pytest.mark.slow
def test_z_may_be_any_pytree():
    x = np.array([[0.4, -0.9], [1.5, 2.0]], np.float32)
    covariance = 0.64 * np.ones((2, 2)) + (0.36 + 0.49) * np.eye(2)
    log_p = [
        -0.5 * (row @ np.linalg.solve(covariance, row) + np.linalg.slogdet(2 * np.pi * covariance)[1])
        for row in x.astype(float)
    ]
    noisy = lambda z: diagonal_normal(z["bottom"], jnp.full(z["bottom"].shape, 0.7))
    settings = {"schedule": linear_schedule(4), "step_size": 0.4, "num_leapfrog": 3}

    def both(forward_key, reverse_key):
        forward = annealed_importance_sampling(forward_key, x, Chain(), noisy, num_chains=NUM_CHAINS, **settings)
        return forward, reverse_annealed_importance_sampling(reverse_key, x, forward.z, Chain(), noisy, **settings)

    forward, reverse = compiled(both)(jax.random.key(0), jax.random.key(1))
    assert_mean(np.exp(forward.log_weights - np.array(log_p)), 1.0)
    for chains in (forward, reverse):
        assert jax.tree.map(jnp.shape, chains.z) == {"top": (NUM_CHAINS, 2), "bottom": (NUM_CHAINS, 2, 2)}


def test_a_path_may_start_at_another_distribution():
    proposal = diagonal_normal(jnp.asarray(POSTERIOR_MEAN + np.array([[0.3], [0.0], [-0.3]])), jnp.full((3, 1), 0.8))
    assert_forward_weights_are_unbiased(initial=proposal)


def test_a_path_that_starts_at_the_posterior_has_weights_without_variance():
    initial = diagonal_normal(jnp.asarray(POSTERIOR_MEAN), jnp.full((3, 1), POSTERIOR_VARIANCE**0.5))

    def both(forward_key, reverse_key):
        forward = run(forward_key, X, initial=initial)
        return forward, run_reverse(reverse_key, X, z=forward.z, initial=initial)

    for chains in compiled(both)(*jax.random.split(jax.random.key(0))):
        np.testing.assert_allclose(chains.log_weights, np.tile(LOG_P, (3, 1)), atol=5e-6)


NOISE = np.array([0.3, 0.6, 2.0], np.float32)  # of three examples, in ten dimensions


def noisy(z):
    return diagonal_normal(z, jnp.broadcast_to(NOISE[:, None], z.shape))


def test_a_pilot_that_accepts_everything_grows_by_the_sum_of_the_gains():
    """Tiny steps are accepted; each update k then adds (1 - target) / sqrt(k) to the logarithm."""
    settings = {"schedule": linear_schedule(4), "num_chains": 3, "num_updates": 5, "first_step_size": 1e-4}
    step_sizes = adapt_step_size(jax.random.key(0), X, standard_normal(1), likelihood, **settings)
    growth = 0.35 * np.sum(np.arange(1, 6) ** -0.5)
    expected = 1e-4 * np.exp(growth * np.arange(1, 4))
    np.testing.assert_allclose(step_sizes, np.tile(expected[:, None], len(X)), rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("target", [0.65, 0.9])
def test_the_pilot_reaches_its_target_at_every_example(target):
    x, prior = np.ones((3, 10), np.float32), standard_normal(10)

    def pilot_and_chains(pilot_key, key):
        settings = {"schedule": sigmoidal_schedule(200), "num_leapfrog": 3}
        step_size = adapt_step_size(
            pilot_key, x, prior, noisy, num_chains=32, num_updates=1, target_acceptance=target, **settings
        )
        return step_size, annealed_importance_sampling(
            key, x, prior, noisy, num_chains=100, step_size=step_size, **settings
        )

    step_size, chains = compiled(pilot_and_chains)(*jax.random.split(jax.random.key(0)))
    np.testing.assert_allclose(chains.acceptance, target, atol=0.03)
    assert step_size.shape == (199, 3)
    assert (1.5 * step_size[-1, :-1] < step_size[-1, 1:]).all()  # the sharper the posterior, the shorter the step
    assert 1.5 * step_size[-1, 0] < np.max(step_size[:, 0])  # and it sharpens along the path


@pytest.mark.slow
def test_weights_are_unbiased_whatever_the_pilot_found():
    prior = standard_normal(1)

    def weights(key):
        pilot_key, key = jax.random.split(key)
        settings = {"schedule": ROUGH["schedule"], "num_leapfrog": 2}
        step_size = adapt_step_size(pilot_key, X, prior, likelihood, num_chains=1, num_updates=4, **settings)
        chains = annealed_importance_sampling(
            key, X, prior, likelihood, num_chains=20_000, step_size=step_size, **settings
        )
        return step_size, jnp.exp(chains.log_weights - LOG_P)

    step_size, weights = compiled(partial(jax.lax.map, weights))(jax.random.split(jax.random.key(0), 8))
    assert np.std(step_size, axis=0).min() > 0.05  # the pilots differ
    assert_mean(np.moveaxis(weights, 1, 0), 1.0)  # and each has its own mean of weights


def run(key, x, **settings):
    settings = {"num_chains": 3, "schedule": linear_schedule(5), "step_size": 0.2, **settings}
    return annealed_importance_sampling(key, x, standard_normal(1), likelihood, **settings)


def run_reverse(key, x, **settings):
    settings = {"z": jnp.zeros((3, *x.shape)), "schedule": linear_schedule(5), "step_size": 0.2, **settings}
    z = settings.pop("z")
    return reverse_annealed_importance_sampling(key, x, z, standard_normal(1), likelihood, **settings)


def run_pilot(key, x, **settings):
    settings = {"num_chains": 3, "schedule": linear_schedule(5), **settings}
    return adapt_step_size(key, x, standard_normal(1), likelihood, **settings)


@pytest.mark.slow
def test_jit_vmap_and_map_over_examples_agree():
    def one(key, x):
        keys = jax.random.split(key, 3)
        step_size = run_pilot(keys[0], x[None], num_updates=1)
        forward = run(keys[1], x[None])
        return step_size, forward, run_reverse(keys[2], x[None], z=forward.z)

    keys = jax.random.split(jax.random.key(0), 3)
    vmapped = compiled(jax.vmap(one))(keys, X)
    mapped = compiled(lambda keys: jax.lax.map(lambda arguments: one(*arguments), (keys, X)))(keys)
    for result, expected in zip(*map(jax.tree.leaves, (vmapped, mapped)), strict=True):
        assert np.isfinite(result).all()
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_a_step_size_may_be_traced_and_is_broadcast_over_transitions():
    key = jax.random.key(0)
    traced = compiled(lambda step_size: run(key, X, step_size=step_size))
    rows = run(key, X, step_size=np.tile([0.2, 0.1, 0.3], (4, 1)))
    for got, expected in zip(traced(jnp.array([0.2, 0.1, 0.3])), rows, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_results_are_constant_to_gradients():
    def total(slope, x):
        likelihood = lambda z: diagonal_normal(slope * z + B, jnp.full(z.shape, S2**0.5))
        prior = diagonal_normal(slope * jnp.ones(1), jnp.ones(1))
        settings = {"num_chains": 2, "schedule": linear_schedule(3)}
        step_size = adapt_step_size(jax.random.key(0), x, prior, likelihood, **settings)
        chains = annealed_importance_sampling(jax.random.key(1), x, prior, likelihood, step_size=step_size, **settings)
        back = reverse_annealed_importance_sampling(
            jax.random.key(2), x, slope * jnp.ones((2, 3, 1)), prior, likelihood,
            step_size=step_size, schedule=settings["schedule"],
        )  # fmt: skip
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves((step_size, chains, back)))

    for gradient in compiled(jax.grad(total, argnums=(0, 1)))(1.5, jnp.asarray(X)):
        np.testing.assert_array_equal(gradient, 0)


def test_a_step_that_diverges_is_rejected():
    chains = run(jax.random.key(0), X, step_size=1e30)
    np.testing.assert_array_equal(chains.acceptance, 0)
    assert np.isfinite(chains.log_weights).all()


def test_schedules_run_from_0_to_1():
    np.testing.assert_allclose(linear_schedule(5), [0, 0.25, 0.5, 0.75, 1])
    logistic = lambda u: 1 / (1 + np.exp(-u))
    raw = logistic(4 * (2 * np.arange(8) / 7 - 1))
    np.testing.assert_allclose(sigmoidal_schedule(8), (raw - raw[0]) / (raw[-1] - raw[0]), atol=1e-12)
    np.testing.assert_allclose(sigmoidal_schedule(5, steepness=1e-3), linear_schedule(5), atol=1e-6)
    for schedule in (linear_schedule(10_001), sigmoidal_schedule(10_001), sigmoidal_schedule(2)):
        assert schedule[0] == 0
        assert schedule[-1] == 1
        assert (np.diff(schedule) > 0).all()


BAD_SCHEDULES = [
    ([0.0, 0.5, 0.9], "start at 0 and end at 1, got 0.0 and 0.9"),
    ([0.1, 0.5, 1.0], "start at 0 and end at 1, got 0.1 and 1.0"),
    ([1.0, 0.5, 0.0], "start at 0 and end at 1, got 1.0 and 0.0"),
    ([0.0, 0.7, 0.5, 1.0], "increase strictly, got 0.7 and then 0.5"),
    ([0.0, 0.5, 0.5, 1.0], "increase strictly, got 0.5 and then 0.5"),
    ([0.0], r"at least 2 temperatures, \[T \+ 1\], got the shape \(1,\)"),
    ([], r"got the shape \(0,\)"),
    ([[0.0, 1.0]], r"got the shape \(1, 2\)"),
    (0.5, r"got the shape \(\)"),
    ([0.0, np.nan, 1.0], "finite, got nan"),
    ([0.0, np.inf, 1.0], "finite, got inf"),
    ("linear", "known before compilation, got 'linear'"),
]


@pytest.mark.parametrize("function", [run, run_reverse, run_pilot])
@pytest.mark.parametrize(("schedule", "message"), BAD_SCHEDULES)
def test_schedules_that_make_no_path_are_refused(function, schedule, message):
    assert_refused(lambda: function(jax.random.key(0), X, schedule=schedule), message)


def assert_refused(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_a_traced_schedule_is_refused():
    call = jax.jit(lambda schedule: run(jax.random.key(0), X, schedule=schedule))
    assert_refused(lambda: call(jnp.linspace(0, 1, 3)), "schedule must be numbers that are known before compilation")


COUNTS = [
    (run, "num_chains"), (run, "num_leapfrog"), (run_reverse, "num_leapfrog"),
    (run_pilot, "num_chains"), (run_pilot, "num_leapfrog"), (run_pilot, "num_updates"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "name"), COUNTS)
@pytest.mark.parametrize("value", [0, -1, 2.0, True, None, "3"])
def test_counts_below_one_or_not_integers_are_refused(function, name, value):
    message = f"{name} must be an integer of at least 1, got {value!r}"
    assert_refused(lambda: function(jax.random.key(0), X, **{name: value}), message)


STEPS = [
    (0.0, "positive and finite, got 0.0"),
    (-0.1, "positive and finite, got -0.1"),
    (np.nan, "positive and finite, got nan"),
    (np.inf, "positive and finite, got inf"),
    ([0.1, 0.2, -0.3], "positive and finite, got -0.3"),
    ([0.1, 0.2], r"one of the shapes \(\(\), \(3,\), \(4, 3\)\), got \(2,\)"),
    (np.full((5, 3), 0.1), r"got \(5, 3\)"),
    ("small", "known before compilation, got 'small'"),
]


@pytest.mark.parametrize("function", [run, run_reverse])
@pytest.mark.parametrize(("step_size", "message"), STEPS)
def test_step_sizes_that_go_nowhere_are_refused(function, step_size, message):
    assert_refused(lambda: function(jax.random.key(0), X, step_size=step_size), message)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linear_schedule(1), "num_temperatures must be an integer of at least 2, got 1"),
        (lambda: sigmoidal_schedule(10.0), "num_temperatures must be an integer of at least 2, got 10.0"),
        (lambda: sigmoidal_schedule(10, steepness=0.0), "steepness must be positive and finite, got 0.0"),
        (lambda: sigmoidal_schedule(10, steepness=np.nan), "steepness must be positive and finite, got nan"),
        (lambda: sigmoidal_schedule(10, steepness=1e4), "increase strictly"),
        (lambda: run_pilot(jax.random.key(0), X, target_acceptance=1.0), r"within \(0, 1\), got 1.0"),
        (
            lambda: run_pilot(jax.random.key(0), X, first_step_size=0.0),
            "first_step_size must be positive and finite, got 0.0",
        ),
        (lambda: run(jax.random.key(0), X, initial=standard_normal((2, 1))), r"\(\) or \(3,\), got \(2,\)"),
        (lambda: run_reverse(jax.random.key(0), X, z=jnp.zeros((0, 3, 1))), r"num_chains, batch, .* got \[\(0, 3, 1\)"),
        (lambda: run_reverse(jax.random.key(0), X, z=jnp.zeros(3)), r"num_chains, batch, .* got \[\(3,\)\]"),
        (lambda: run_reverse(jax.random.key(0), X, z=jnp.zeros((2, 3, 1), int)), "must be floats, got .'int32'"),
    ],
)
def test_what_else_makes_no_chain_is_refused(call, message):
    assert_refused(call, message)


def test_a_likelihood_of_another_shape_is_refused():
    elementwise = lambda z: distrax.Normal(W * z + B, S2**0.5)  # not summed over dimensions
    with pytest.raises(AssertionError):
        annealed_importance_sampling(
            jax.random.key(0), X, standard_normal(1), elementwise,
            num_chains=2, schedule=linear_schedule(3), step_size=0.1,
        )  # fmt: skip
