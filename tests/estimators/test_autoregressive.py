"""Distributions over sequences against the two-step DRAW of oracle o15, and against closed forms of a Markov chain."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.autoregressive import Autoregressive
from genjax_models.estimators.distributions import Bernoulli, Vector, diagonal_normal
from genjax_models.estimators.elbo import elbo, elbo_terms
from genjax_models.estimators.importance import iwae_bound
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.objectives import iwae, vae
from genjax_models.types import Batch
from tests.statistics import assert_mean

# o15, draw: height 3, width 4, windows of 2 and 3, hidden 2, latent 2, two steps.
IMAGE = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 0, 0]], np.float32)
EPS = np.array([[0.7, -1.1], [-0.4, 0.3]], np.float32)
SHAPES = {
    "enc_W": (12, 8), "enc_b": (8,), "q_W": (2, 4), "q_b": (4,), "dec_W": (4, 8), "dec_b": (8,), "read_W": (2, 5),
    "read_b": (5,), "write_W": (2, 5), "write_b": (5,), "patch_W": (2, 9), "patch_b": (9,), "canvas": (3, 4),
}  # fmt: skip
WEIGHTS = {
    name: jnp.float32(0.4 * np.sin(k + 1.3 * np.arange(np.prod(shape)))).reshape(shape)
    for k, (name, shape) in enumerate(SHAPES.items(), 1)
}
Z = np.array([[0.2421569321538709, -1.4064944896630798], [-0.532269418491755, -0.12605929948337152]])
KL_BY_STEP = [0.20368892495168983, 0.2128709873881215]
LOG_Q_MINUS_LOG_P = 0.5752163177287983 + 0.4447524104802204
RECONSTRUCTION, BOUND, LOG_WEIGHT = -8.643019388567424, -9.059579300907236, -9.662988116776443
GRADIENT = {
    "read_b": [
        0.016083241603700078,
        -0.0021915171351712575,
        0.007927761735970762,
        -0.01228827620843494,
        -0.02560610939,
    ],
    "write_b": [
        0.2541087338222188,
        0.20354256511960025,
        -0.20170537745981912,
        0.5279978575985684,
        -0.22760330283440783,
    ],
    "q_b": [0.5434660191738772, 0.7868494067049998, 0.703196572005756, 0.19117400617070973],
    "canvas": [
        [0.5031474500742187, -0.6162296751840064, -0.5570481483463396, 0.5371484055520052],
        [-0.4400834832611148, 0.4489701990199416, 0.41983079098232656, -0.47654615821605495],
        [0.506292632499831, 0.5123620805358442, -0.5653598824221598, -0.5514836570933804],
    ],
}
GRADIENT_AT = {
    ("enc_W", 0, 0): -0.00945564879136403,
    ("dec_W", 0, 2): -0.0002759358104971928,
    ("patch_W", 0, 4): 0.003969972638036741,
}
# Mistakes of the oracle, and the wrong bound of each.
WRONG = {
    "error without sigmoid": -9.055342821953442,
    "canvas overwritten": -8.637743309412084,
    "KL of the last step alone": -8.855890375955546,
    "-T/2 where -T d/2 belongs": -10.059579300907236,
    "log v where log sigma belongs": -9.886513824070969,
}


class Planned(distrax.Normal):
    """A normal distribution whose noise is given."""

    def __init__(self, loc, scale, eps):
        super().__init__(loc, scale)
        self.eps = eps

    def _sample_from_std_normal(self, key, n):
        return jnp.broadcast_to(self.eps, (n, *self.batch_shape))


def cell(weights, name, x, carry):
    c, h = carry
    gates = jnp.concatenate([x, h], -1) @ weights[f"{name}_W"] + weights[f"{name}_b"][None]
    i, f, g, o = jnp.split(gates, 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return c, jax.nn.sigmoid(o) * jnp.tanh(c)


def window(weights, name, h, n):
    centre_x, centre_y, log_v, log_stride, log_gamma = jnp.split(
        h @ weights[f"{name}_W"] + weights[f"{name}_b"][None], 5, -1
    )

    def bank(centre, size):
        mean = (size + 1) / 2 * (centre + 1) + (jnp.arange(1, n + 1) - n / 2 - 0.5)[None] * 3 / (n - 1) * jnp.exp(
            log_stride
        )
        pixels = jnp.arange(1, size + 1)[None, None]
        return jax.nn.softmax(-((pixels - mean[..., None]) ** 2) / (2 * jnp.exp(log_v)[..., None]), -1)

    return bank(centre_y, 3), bank(centre_x, 4), jnp.exp(log_gamma)[..., None]


def read(weights, h, image):
    rows, columns, gamma = window(weights, "read", h, 2)
    return (gamma * jnp.einsum("bih,bhw,bjw->bij", rows, image, columns)).reshape(len(image), -1)


def write(weights, h):
    rows, columns, gamma = window(weights, "write", h, 3)
    patch = (h @ weights["patch_W"] + weights["patch_b"][None]).reshape(-1, 3, 3)
    return jnp.einsum("bih,bij,bjw->bhw", rows, patch, columns) / gamma


def painted(weights, canvas, h, mistake=None):
    return write(weights, h) + (0 if mistake == "canvas overwritten" else canvas)


def draw_posterior(weights, x, mistake=None, noise=EPS):
    """q(z | x) of DRAW, for images `[batch, 3, 4]`; without noise, the draws are random."""
    batch = len(x)
    zeros = jnp.zeros((batch, 2)), jnp.zeros((batch, 2))

    def step(state):
        t, encoder, decoder, canvas = state
        error = x - (canvas if mistake == "error without sigmoid" else jax.nn.sigmoid(canvas))
        seen = jnp.concatenate([read(weights, decoder[1], x), read(weights, decoder[1], error), decoder[1]], -1)
        encoder = cell(weights, "enc", seen, encoder)
        mean, raw = jnp.split(encoder[1] @ weights["q_W"] + weights["q_b"][None], 2, -1)
        scale = jax.nn.softplus(raw) + 1e-4

        def advance(z):
            h = cell(weights, "dec", z, decoder)
            return t + 1, encoder, h, painted(weights, canvas, h[1], mistake)

        each = distrax.Normal(mean, scale) if noise is None else Planned(mean, scale, jnp.asarray(noise)[t])
        return Vector(each), advance

    canvas = jnp.broadcast_to(weights["canvas"], (batch, 3, 4))
    return Autoregressive((0, zeros, zeros, canvas), step, (2, 2))


def draw_likelihood(weights, z, mistake=None):
    """p(x | z) of DRAW, for z `[..., 2, 2]`."""
    rows = z.reshape(-1, 2, 2)
    h, canvas = (jnp.zeros((len(rows), 2)), jnp.zeros((len(rows), 2))), weights["canvas"][None]
    for t in range(2):
        h = cell(weights, "dec", rows[:, t], h)
        canvas = painted(weights, canvas, h[1], mistake)
    return distrax.Independent(Bernoulli(canvas.reshape(*z.shape[:-2], 3, 4)), 2)


PRIOR = distrax.Independent(distrax.Normal(jnp.zeros((2, 2)), 1.0), 2)


def draw_bound(weights, form="kl"):
    x = jnp.asarray(IMAGE)[None]
    posterior = draw_posterior(weights, x)
    return elbo(jax.random.key(0), x, posterior, PRIOR, lambda z: draw_likelihood(weights, z), form=form)


def bound_by_hand(mistake=None):
    """Returns the bound with the KL written out, with a mistake on request."""
    q = draw_posterior(WEIGHTS, jnp.asarray(IMAGE)[None], mistake)
    state, z, kl = q.start, [], []
    for _ in range(2):
        step, advance = q.step(state)
        mean, variance = step.mean(), step.variance()
        times = 2 if mistake == "log v where log sigma belongs" else 1
        constant = 1 if mistake == "-T/2 where -T d/2 belongs" else 2
        kl.append(0.5 * (jnp.sum(mean**2 + variance - times * jnp.log(variance)) - constant))
        z.append(step.sample(seed=jax.random.key(0)))
        state = advance(z[-1])
    reconstruction = draw_likelihood(WEIGHTS, jnp.stack(z, axis=1), mistake).log_prob(jnp.asarray(IMAGE))[0]
    return reconstruction - (kl[-1] if mistake == "KL of the last step alone" else sum(kl))


def assert_is_the_bound(value):
    np.testing.assert_allclose(value, BOUND, rtol=1e-6)


def test_two_steps_of_draw_have_the_bound_of_the_oracle_and_its_gradient():
    bound, gradient = jax.jit(jax.value_and_grad(lambda weights: draw_bound(weights)[0]))(WEIGHTS)
    assert_is_the_bound(bound)
    np.testing.assert_allclose(bound + sum(KL_BY_STEP), RECONSTRUCTION, rtol=1e-6)
    for name, exact in GRADIENT.items():
        np.testing.assert_allclose(gradient[name], exact, rtol=1e-4, atol=2e-6)
    for (name, i, j), exact in GRADIENT_AT.items():
        np.testing.assert_allclose(gradient[name][i, j], exact, rtol=1e-3, atol=2e-6)


def test_the_kl_along_a_draw_is_that_of_the_oracle_step_by_step():
    posterior = draw_posterior(WEIGHTS, jnp.asarray(IMAGE)[None])
    z, kl = jax.jit(lambda key: posterior.sample_and_kl_by_step(key, PRIOR, 3))(jax.random.key(0))
    np.testing.assert_allclose(z, np.tile(Z, (3, 1, 1, 1)), rtol=1e-5)
    np.testing.assert_allclose(kl, np.tile(KL_BY_STEP, (3, 1, 1)), rtol=1e-5)


def test_densities_are_those_of_the_oracle():
    def densities():
        posterior = draw_posterior(WEIGHTS, jnp.asarray(IMAGE)[None])
        z, log_q = posterior.sample_and_log_prob(seed=jax.random.key(0))
        ratios = [log_q - PRIOR.log_prob(z), posterior.log_prob(jnp.float32(Z)) - PRIOR.log_prob(jnp.float32(Z))[None]]
        return ratios, draw_bound(WEIGHTS, form="monte_carlo")

    ratios, log_weight = jax.jit(densities)()
    np.testing.assert_allclose(ratios, [[LOG_Q_MINUS_LOG_P]] * 2, rtol=1e-5)
    np.testing.assert_allclose(log_weight, LOG_WEIGHT, rtol=1e-6)


@pytest.mark.parametrize("mistake", WRONG)
def test_plausible_mistakes_of_draw_are_seen(mistake):
    right, wrong = jax.jit(lambda: (bound_by_hand(), bound_by_hand(mistake)))()
    assert_is_the_bound(right)
    np.testing.assert_allclose(wrong, WRONG[mistake], rtol=1e-6)
    with pytest.raises(AssertionError):
        assert_is_the_bound(wrong)


# A Markov chain from z_0 = 0: z_t ~ N(A z_{t-1} + c, diag(scale^2)), for a batch of c.
A, SCALE, SHIFT = jnp.array([[0.8, -0.3], [0.2, 0.5]]), jnp.array([0.6, 1.3]), jnp.array([[0.4, -1.0], [0.0, 0.7]])
STEPS = 3


def markov(shift=SHIFT, scale=SCALE, steps=STEPS, transition=A):
    def step(z):
        mean = z @ transition.T + jnp.broadcast_to(shift, z.shape)
        return diagonal_normal(mean, jnp.broadcast_to(scale, mean.shape)), lambda z: z

    return Autoregressive(jnp.zeros(jnp.broadcast_shapes(shift.shape, (2,))), step, (steps, 2))


def moments(shift, scale=SCALE):
    """Mean `[time, 2]` and covariance `[time, 2, 2]` of z_0 = 0, z_1, ..., in float64."""
    mean, covariance = [np.zeros(2)], [np.zeros((2, 2))]
    for _ in range(STEPS):
        mean.append(np.asarray(A, np.float64) @ mean[-1] + shift)
        covariance.append(
            np.asarray(A, np.float64) @ covariance[-1] @ np.asarray(A).T + np.diag(np.asarray(scale) ** 2.0)
        )
    return np.array(mean), np.array(covariance)


def test_draws_have_the_moments_of_the_chain():
    z = jax.jit(lambda key: markov().sample(seed=key, sample_shape=20_000))(jax.random.key(0))
    assert z.shape == (20_000, 2, STEPS, 2)
    for i in range(2):
        mean, covariance = moments(np.asarray(SHIFT[i]))
        assert_mean(z[:, i], mean[1:])
        centred = z[:, i] - mean[1:]
        assert_mean(centred[..., :, None] * centred[..., None, :], covariance[1:])


@pytest.mark.parametrize("prior", ["independent", "autoregressive"])
def test_the_mean_of_the_kl_along_draws_is_the_kl(prior):
    """E[KL_t] is a function of the moments of z_{t-1} alone."""
    other = 0.9
    p = PRIOR_3 if prior == "independent" else markov(jnp.full(2, other), jnp.ones(2))
    assert p.batch_shape == ()
    terms = jax.jit(
        lambda key: elbo_terms(
            key, SHIFT, markov(), p, lambda z: Vector(distrax.Normal(z[..., 0, :], 1.0)), num_samples=20_000
        )
    )(jax.random.key(0))
    kl = jax.jit(lambda key: markov().sample_and_kl_by_step(key, p, 20_000)[1])(jax.random.key(0))
    np.testing.assert_allclose(terms.kl, jnp.mean(jnp.sum(kl, -1), 0), rtol=1e-5)
    spread = np.sum(0.5 * (np.asarray(SCALE, np.float64) ** 2 - 1) - np.log(SCALE))
    for i in range(2):
        mean, covariance = moments(np.asarray(SHIFT[i]))
        a = np.asarray(A, np.float64)
        if prior == "independent":
            shifted = mean[:-1] @ a.T + np.asarray(SHIFT[i])
            square = np.sum(shifted**2, -1) + np.trace(a @ covariance[:-1] @ a.T, axis1=-2, axis2=-1)
        else:
            square = np.full(STEPS, np.sum((np.asarray(SHIFT[i]) - other) ** 2))
        assert_mean(kl[:, i], 0.5 * square + spread)


PRIOR_3 = distrax.Independent(distrax.Normal(jnp.zeros((STEPS, 2)), jnp.ones((STEPS, 2))), 2)


def test_log_prob_is_the_sum_over_steps_for_any_leading_axes():
    z = np.random.RandomState(0).normal(size=(4, 3, 2, STEPS, 2)).astype(np.float32)
    before = np.concatenate([np.zeros_like(z[..., :1, :]), z[..., :-1, :]], -2)
    mean = before @ np.asarray(A).T + np.asarray(SHIFT)[:, None]
    expected = np.sum(-0.5 * ((z - mean) / SCALE) ** 2 - np.log(SCALE) - 0.5 * np.log(2 * np.pi), (-2, -1))
    np.testing.assert_allclose(markov().log_prob(z), expected, rtol=1e-5)
    np.testing.assert_allclose(markov(SHIFT[0]).log_prob(z[:, :, 0]), expected[:, :, 0], rtol=1e-5)
    np.testing.assert_allclose(markov().log_prob(z[0, 0, 0])[0], expected[0, 0, 0], rtol=1e-5)


def test_all_ways_to_draw_agree_and_a_longer_sequence_begins_with_a_shorter_one():
    key, q = jax.random.key(1), markov()
    z = q.sample(seed=key, sample_shape=5)
    both, log_q = q.sample_and_log_prob(seed=key, sample_shape=5)
    np.testing.assert_array_equal(z, both)
    np.testing.assert_array_equal(z, q.sample_and_kl_by_step(key, PRIOR_3, 5)[0])
    np.testing.assert_allclose(log_q, q.log_prob(z), rtol=1e-5)
    np.testing.assert_array_equal(z, markov(steps=6).sample(seed=key, sample_shape=5)[..., :STEPS, :])


@pytest.mark.parametrize(
    "evaluate",
    [
        lambda q, key: q.sample(seed=key, sample_shape=2),
        lambda q, key: q.sample_and_log_prob(seed=key, sample_shape=2),
        lambda q, key: q.log_prob(jnp.zeros((2, 2, STEPS, 2))),
        lambda q, key: q.sample_and_kl_by_step(key, PRIOR_3, 2),
    ],
)
def test_each_evaluation_is_one_scan_and_promotes_no_ranks(evaluate):
    with jax.numpy_rank_promotion("raise"):
        jaxpr = str(jax.make_jaxpr(lambda key: evaluate(markov(), key))(jax.random.key(0)))
    assert jaxpr.count("scan[") == 1


MODEL = {"params": {"encoder": SHIFT, "transition": A, "generator": jnp.array([[0.5, -1.0], [0.3, 0.8]])}}
X = jnp.array([[1.0, -0.5], [0.2, 0.4]])


def chain_model():
    """A model by hand: q(z | x) is a Markov chain that x shifts, and x has the mean of all steps as its mean."""

    def posterior(variables, x, label=None):
        weights = variables["params"]
        return markov(x @ weights["encoder"], transition=weights["transition"])

    return LatentVariableModel(
        init=lambda key, batch: MODEL,
        posterior=posterior,
        prior=lambda variables, label=None: PRIOR_3,
        likelihood=lambda v, z, label=None: Vector(distrax.Normal(jnp.mean(z, -2) @ v["params"]["generator"], 1.0)),
        shape=(2,),
    )


OBJECTIVES = {
    "kl": lambda model: vae(model, form="kl"),
    "monte_carlo": lambda model: vae(model, form="monte_carlo"),
    "iwae": lambda model: iwae(model, num_samples=3),
    "doubly reparameterized": lambda model: iwae(model, num_samples=3, gradient="doubly_reparameterized", chunk=1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_take_such_a_posterior_as_it_is(name):
    objective, batch = OBJECTIVES[name](chain_model()), Batch(X)
    variables = objective.init(jax.random.key(0), batch)
    ((player, loss),) = objective.losses.items()
    gradient = jax.jit(jax.grad(lambda v: loss(v, jax.random.key(0), batch, 0)[0]))(variables)
    for weight, values in gradient[player]["params"].items():
        assert np.isfinite(values).all(), weight
        assert np.any(values), weight
    assert objective.sample(variables, jax.random.key(0), 5).shape == (5, 2)


def test_the_forms_have_one_mean_and_one_gradient_and_iwae_is_above_them():
    model = chain_model()

    def bound(variables, key, estimator, **options):
        parts = model.posterior(variables, X[:1]), PRIOR_3, lambda z: model.likelihood(variables, z)
        return estimator(key, X[:1], *parts, **options)[0]

    def value_and_gradient(key, estimator, **options):
        value, gradient = jax.value_and_grad(bound)(MODEL, key, estimator, **options)
        return value, jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(gradient)])

    def estimates(key):
        forms = [value_and_gradient(key, elbo, form=form) for form in ("kl", "monte_carlo")]
        iwae = [
            value_and_gradient(key, iwae_bound, num_samples=4, zero_weights=False, gradient=gradient)
            for gradient in ("standard", "doubly_reparameterized")
        ]
        return forms, iwae

    keys = jax.random.split(jax.random.key(0), 4_000)
    (kl, monte_carlo), (standard, doubly) = jax.jit(jax.vmap(estimates))(keys)
    for one, other in ((kl, monte_carlo), (standard, doubly)):
        assert_mean(one[0] - other[0], 0.0)
        assert_mean(one[1] - other[1], 0.0)
    assert np.mean(standard[0]) > np.mean(kl[0])


def test_what_makes_no_sequence_is_refused():
    with pytest.raises(ValueError, match=r"must be \(time, d\), got \(3,\)"):
        Autoregressive((), lambda state: None, (3,))
    with pytest.raises(ValueError, match="time must be an integer of at least 1, got 0"):
        Autoregressive((), lambda state: None, (0, 2))
    with pytest.raises(ValueError, match=r"a step must have the event shape \(4,\), got \(2,\)"):
        Autoregressive(jnp.zeros((2, 2)), markov().step, (3, 4)).sample(seed=0)
    for shape in ((2, 3, 3), (3, STEPS, 2), (2, STEPS + 1, 2)):
        with pytest.raises(ValueError, match="`value` must end in"):
            markov().log_prob(jnp.zeros(shape))
    with pytest.raises(ValueError, match="same event shape"):
        markov().sample_and_kl_by_step(jax.random.key(0), PRIOR, 1)
    laplace = distrax.Independent(distrax.Laplace(jnp.zeros((STEPS, 2)), jnp.ones((STEPS, 2))), 2)
    likelihood = lambda z: Vector(distrax.Normal(z[..., 0, :], 1.0))
    for form, prior in (("kl", laplace), ("entropy", PRIOR_3)):
        with pytest.raises(ValueError, match="needs a closed"):
            elbo(jax.random.key(0), SHIFT, markov(), prior, likelihood, form=form)
