"""Filtering bounds against exact values: a hidden Markov model by enumeration, a linear-Gaussian one by integration."""

from functools import partial

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.estimators.filtering import (
    Step,
    _resample,
    check_evidence,
    elbo_by_step,
    filtering_bound,
    without_padding,
)
from genjax_models.estimators.importance_diagnostics import effective_sample_size
from tests.statistics import assert_mean

REPEATS = 20_000  # sequences of a batch, all the same

# A hidden Markov model of two states and three symbols.
INITIAL = np.array([0.6, 0.4], np.float32)
TRANSITION = np.array([[0.7, 0.3], [0.2, 0.8]], np.float32)
EMISSION = np.array([[0.5, 0.4, 0.1], [0.1, 0.3, 0.6]], np.float32)
SYMBOLS = np.array([0, 2, 1])
PROPOSAL = np.array([[[0.8, 0.2], [0.8, 0.2]], [[0.4, 0.6], [0.3, 0.7]], [[0.55, 0.45], [0.35, 0.65]]], np.float32)
P_X, LOG_P_X = 0.031490000000000004, -3.4580852438692036
# (N, criterion, threshold, resampling): E[log p^], its gradient in theta with the score and without it.
FILTERS = {
    (1, "never", 0.5, "multinomial"): (-3.595622180066946, (0.297, -0.003), (0.297, -0.003)),
    (2, "never", 0.5, "multinomial"): (-3.510267876898754, (0.2938717818, 0.0464335099), (0.2938717818, 0.0464335099)),
    (2, "always", 0.5, "multinomial"): (-3.522482932948351, (0.306416734, 0.0443681928), (0.3163178161, 0.0699705146)),
    (2, "ess", 0.9, "multinomial"): (-3.509507910085448, (0.2940076583, 0.0495845708), (0.2950635479, 0.0502552722)),
    (2, "always", 0.5, "stratified"): (-3.5203579259261737, (0.3039606755, 0.0438304097), None),
    (2, "always", 0.5, "systematic"): (-3.5203579259261737, (0.3039606755, 0.0438304097), None),
    (2, "ess", 0.9, "systematic"): (-3.509488527649416, (0.2940051908, 0.0495157073), None),
}

# z_1 ~ N(0, 1), z_t | z_{t-1} ~ N(A z_{t-1}, Q), x_t | z_t ~ N(C z_t, R).
A, C, Q, R = 0.9, 1.2, 0.3, 0.5
TWO = np.array([0.8, -0.3], np.float32)
LOG_P_TWO = -2.721178633522672
GAUSSIAN = {
    "filter": (-2.8337742459655364, -2.767101098702217, -2.8004376723356565, (0.42921952176391903, 0.3275002333605778)),
    "prior": (-4.913129885849401, -3.464778960113919, -3.4301121378305957, (0.0, 0.0)),
    "wide": (-8.258382705289455, -4.688261434369408, -4.353161311960083, (0.15342640972002736, 0.15342640972002736)),
}
UNEQUAL = [[0.8, -0.3, 1.5, 0.2, -1.1], [-0.8, 0.3, -1.5]]
LOG_P_UNEQUAL = [-7.7496026921472705, -4.635304478626413]


def hidden_markov_step(theta, proposal, state, t):
    """The step of `theta` `[batch, 2]`: it moves the logits of TRANSITION[0, 1] and EMISSION[0, 0] of each sequence."""
    transition = jnp.log(TRANSITION)[None].repeat(len(theta), 0).at[:, 0, 1].add(theta[:, 0])
    emission = jnp.log(EMISSION)[None].repeat(len(theta), 0).at[:, 0, 0].add(theta[:, 1])
    sequence = jnp.arange(len(theta))[None]
    of_prior, of_proposal = state  # the state before, twice
    prior = jnp.where((t == 0)[None, :, None], jnp.log(INITIAL)[None, None], transition[sequence, of_prior])
    return Step(
        posterior=distrax.Categorical(logits=jnp.log(proposal)[t[0], of_proposal]),
        prior=distrax.Categorical(logits=prior),
        likelihood=lambda z: distrax.Categorical(logits=emission[sequence, z]),
        advance=lambda z: (z, z),
    )


def hidden_markov(bound, theta, proposal=PROPOSAL, symbols=SYMBOLS, **settings):
    n, time = len(theta), len(symbols)
    state = jnp.zeros(n, int)
    return bound(
        jax.random.key(0),
        jnp.broadcast_to(jnp.asarray(symbols)[:, None], (time, n)),
        jnp.ones((time, n), bool),
        (state, state),
        partial(hidden_markov_step, theta, proposal),
        jnp.broadcast_to(jnp.arange(time)[:, None], (time, n)),
        **settings,
    )


def smoothing_proposal():
    """Returns p(z_t | z_{t-1}, x), `[t, before, z]`, by backward messages."""
    message, rows = np.ones(2), []
    for t in reversed(range(3)):
        message = EMISSION[:, SYMBOLS[t]] * message
        before = TRANSITION if t else np.stack([INITIAL, INITIAL])
        rows.append(before * message / (before @ message)[:, None])
        message = before @ message
    return np.stack(rows[::-1]).astype(np.float32)


FAST = [(2, "always", 0.5, "multinomial"), (2, "ess", 0.9, "systematic")]  # which would notice most mistakes


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=[pytest.mark.slow] * (row not in FAST)) for row in FILTERS], ids=map(str, FILTERS)
)
def test_every_filter_of_the_hidden_markov_model_and_its_gradient(row):
    k, criterion, threshold, resampling = row
    bound, *gradients = FILTERS[row]
    settings = {"num_particles": k, "criterion": criterion, "threshold": threshold, "resampling": resampling}

    def value(theta, score):
        terms = hidden_markov(filtering_bound, theta, score=score, **settings)
        return terms.bound.sum(), terms.bound

    scores = [score for score, gradient in zip((True, False), gradients, strict=True) if gradient]
    runs = [jax.grad(partial(value, score=score), has_aux=True) for score in scores]
    found = jax.jit(lambda theta: [run(theta) for run in runs])(jnp.zeros((REPEATS, 2)))
    for (grads, bounds), gradient in zip(found, filter(None, gradients), strict=True):
        assert_mean(grads, gradient)
        np.testing.assert_array_equal(bounds, found[0][1])  # the score does not change the value
    assert_mean(bounds, bound)
    assert_mean(np.exp(bounds, dtype=np.float64), P_X, float_error=1e-6)


def test_with_the_smoothing_proposal_every_draw_of_the_hmm_is_exact_until_it_resamples():
    run = partial(hidden_markov, filtering_bound, jnp.zeros((REPEATS, 2)), smoothing_proposal(), num_particles=2)
    np.testing.assert_allclose(run(criterion="never").bound, LOG_P_X, atol=2e-6)
    assert_mean(run(criterion="always").bound, -3.4674703399085613)


def test_elbo_by_step_of_the_hidden_markov_model():
    terms = hidden_markov(elbo_by_step, jnp.zeros((REPEATS, 2)))
    assert_mean(terms.reconstruction.T, [-1.0150347630467653, -1.1916942220726514, -1.0814202414614775])
    assert_mean(terms.kl.T, [0.09151622184943578, 0.15926710604849517, 0.05668962558812064])


def gaussian_step(proposal, state, context):
    """`context` is what q reads: x_t, whether this is the first step, and the message of the future."""
    x_t, first, precision, shift = context
    mean, variance = A * state["z"], jnp.where(first, 1.0, Q)[None]
    if proposal == "filter":
        precision, shift = C**2 / R * jnp.ones_like(x_t), C * x_t / R
    if proposal in ("filter", "smoothing"):
        q_variance = 1 / (1 / variance + precision[None])
        q_mean = q_variance * (mean / variance + shift[None])
    else:
        q_mean, q_variance = mean, variance * {"prior": 1, "wide": 2}[proposal]
    normal = lambda mean, variance: diagonal_normal(*jnp.broadcast_arrays(mean, jnp.sqrt(variance)))
    return Step(
        posterior=normal(q_mean, jnp.broadcast_to(q_variance, q_mean.shape)),
        prior=normal(mean, variance),
        likelihood=lambda z: normal(C * z, jnp.full_like(z, R)),
        advance=lambda z: {"z": z},
    )


def gaussian(bound, sequences, proposal, *, time=None, padding=0.0, key=0, scale=None, **settings):
    """A batch of padded sequences. `scale`, if any, multiplies what q reads of x: a parameter."""
    n, time = len(sequences), time or max(map(len, sequences))
    x, precision, shift = np.zeros((3, time, n, 1), np.float32)
    mask = np.zeros((time, n), bool)
    for i, sequence in enumerate(sequences):
        j = h = 0.0
        for t in reversed(range(len(sequence))):
            j, h = C**2 / R + A**2 * j / (1 + Q * j), C * sequence[t] / R + A * h / (1 + Q * j)
            x[t, i], precision[t, i], shift[t, i], mask[t, i] = sequence[t], j, h, True
    x, precision, shift = (jnp.where(mask[..., None], leaf, padding) for leaf in (x, precision, shift))
    first = jnp.broadcast_to(jnp.arange(time)[:, None, None] == 0, x.shape)
    read = x if scale is None else scale * without_padding(x, jnp.asarray(mask))
    state = {"z": jnp.zeros((n, 1))}
    step, context = partial(gaussian_step, proposal), (read, first, precision, shift)
    return bound(jax.random.key(key), x, jnp.asarray(mask), state, step, context, **settings)


@pytest.mark.parametrize("proposal", ["filter", "prior", pytest.param("wide", marks=pytest.mark.slow)])
def test_elbo_iwae_and_filtering_bound_of_the_linear_gaussian_model(proposal):
    elbo, iwae, fivo, kl = GAUSSIAN[proposal]

    @jax.jit
    def run():
        of = partial(gaussian, sequences=[TWO] * REPEATS, proposal=proposal)
        filters = [(1, "always"), (2, "never"), (2, "always")]
        terms = [of(filtering_bound, num_particles=k, criterion=criterion) for k, criterion in filters]
        return of(elbo_by_step), *terms

    by_step, one, never, always = run()
    assert_mean(jnp.sum(by_step.reconstruction - by_step.kl, axis=0), elbo)
    assert_mean(one.kl.T, kl)
    for terms, exact in ((one, elbo), (never, iwae), (always, fivo)):
        assert_mean(terms.bound, exact)
        assert_mean(np.exp(terms.bound, dtype=np.float64), np.exp(LOG_P_TWO))


@pytest.mark.parametrize("sequences", [UNEQUAL, UNEQUAL[1:]], ids=["both", "alone"])
def test_with_the_smoothing_proposal_each_padded_sequence_is_exact_for_every_draw(sequences):
    exact = [LOG_P_UNEQUAL[UNEQUAL.index(sequence)] for sequence in sequences]
    terms = gaussian(filtering_bound, sequences, "smoothing", num_particles=3, criterion="never")
    np.testing.assert_allclose(terms.bound, exact, rtol=1e-6)


LENGTHS = [[0.8, -0.3, 1.5, 0.2, -1.1], [-0.8, 0.3, -1.5], [0.4]]


@pytest.mark.parametrize("bound", ["always", "elbo_by_step"])
def test_padding_changes_neither_value_nor_gradient_nor_draw(bound):
    @partial(jax.jit, static_argnames="time")
    @partial(jax.value_and_grad, has_aux=True)
    def run(scale, padding, time=5):
        of = partial(gaussian, sequences=LENGTHS, proposal="filter", time=time, padding=padding, scale=scale, key=3)
        if bound == "elbo_by_step":
            reconstruction, kl = of(elbo_by_step, num_samples=2)
            return jnp.sum(reconstruction - kl), (reconstruction - kl).sum(axis=0)
        terms = of(filtering_bound, num_particles=3, criterion=bound, score=True)
        return jnp.sum(terms.bound), terms.bound

    with jax.numpy_rank_promotion("raise"):
        short, with_nan, longer = run(0.7, 0.0), run(0.7, jnp.nan), run(0.7, jnp.nan, time=8)
    jax.tree.map(np.testing.assert_array_equal, short, with_nan)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), short, longer)
    assert np.isfinite(short[1])


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 3])
def test_a_padded_sequence_has_the_value_and_draws_of_the_batch_cut_at_its_length(length):
    run = partial(gaussian, filtering_bound, proposal="prior", num_particles=4, criterion="always", padding=np.nan)
    padded, cut = run(LENGTHS), run([sequence[:length] for sequence in LENGTHS])
    row = [len(sequence) for sequence in LENGTHS].index(length)
    np.testing.assert_allclose(padded.bound[row], cut.bound[row], rtol=1e-6)
    for of_padded, of_cut in zip(padded[1:-1], cut[1:-1], strict=True):
        np.testing.assert_allclose(of_padded[:length, ..., row], of_cut[..., row], rtol=1e-5, atol=1e-6)


def test_the_state_stands_still_at_the_padding():
    def step(state, context):
        growing = diagonal_normal(1e4 * state, jnp.ones_like(state))
        return Step(growing, growing, lambda z: growing, lambda z: 1e4 * z)  # NaN after two steps of the padding

    def bound(start):
        mask = jnp.arange(6)[:, None] < 1
        return filtering_bound(jax.random.key(0), jnp.zeros((6, 1, 1)), mask, start, step, num_particles=2).bound.sum()

    assert np.isfinite(jax.jit(jax.grad(bound))(jnp.ones((1, 1)))).all()


def test_nothing_is_resampled_after_the_last_step_of_a_sequence():
    terms = gaussian(filtering_bound, LENGTHS, "wide", num_particles=4, criterion="always", time=6)
    lengths = np.array([len(sequence) for sequence in LENGTHS])
    steps = np.arange(6)[:, None]
    np.testing.assert_array_equal(terms.resampled, steps < lengths - 1)
    identity = (terms.ancestors == np.arange(4)[None, :, None]).all(axis=1)
    assert identity[~np.asarray(terms.resampled)].all()
    assert not identity.all()
    np.testing.assert_array_equal(np.where(steps < lengths, 0, terms.kl), 0)
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(terms.evidence[length - 1 :, row], terms.bound[row])


def test_the_elbo_by_step_has_the_draws_of_one_particle():
    """With q = p, log w is log p(x_t | z)."""
    terms = gaussian(elbo_by_step, LENGTHS, "prior")
    bound = gaussian(filtering_bound, LENGTHS, "prior", num_particles=1).bound
    np.testing.assert_allclose(jnp.sum(terms.reconstruction, axis=0), bound, rtol=1e-5)


def test_ancestors_that_change_no_evidence_have_no_score():
    """The credit of the ancestors is for the steps to come, whose weights are 1 here: p(x_t) is 1."""
    normal = lambda mean, scale: diagonal_normal(mean * jnp.ones((4, 1, 1)), scale * jnp.ones((4, 1, 1)))

    def step(shift, state, first):  # q is p after the first step, and no x depends on z
        q, p_of_x = normal(jnp.where(first, shift, 0), 1), normal(0, (2 * jnp.pi) ** -0.5)
        return Step(q, normal(0, 1), lambda z: p_of_x, lambda z: state)

    def bound(shift, score):
        data = jnp.zeros((2, 1, 1)), jnp.ones((2, 1), bool), jnp.zeros((1, 1))
        options = {"num_particles": 4, "criterion": "always", "score": score}
        first = jnp.array([True, False])[:, None, None]
        return filtering_bound(jax.random.key(0), *data, partial(step, shift), first, **options).bound[0]

    gradients = jax.jit(lambda shift: jnp.stack([jax.grad(bound)(shift, score) for score in (False, True)]))(0.5)
    assert gradients[0] != 0
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-5)


def test_weights_since_the_last_resampling_choose_ancestors():
    terms = jax.jit(
        lambda: gaussian(filtering_bound, UNEQUAL[:1] * 200, "prior", num_particles=8, resampling="systematic")
    )()
    resampled = np.asarray(terms.resampled)
    effective = np.asarray(jax.vmap(effective_sample_size)(terms.log_weights))
    np.testing.assert_array_equal(resampled[:-1], effective[:-1] < 4)
    assert (resampled[1:] & ~resampled[:-1]).any()  # more than one step chooses
    children = (terms.ancestors[:, :, None] == np.arange(8)[None, None, :, None]).sum(axis=1)
    expected = 8 * jax.nn.softmax(terms.log_weights, axis=1)
    close = (np.abs(children - expected) < 1.001).all(axis=1)
    assert close[resampled].all()


def test_two_particles_are_never_too_few_at_the_threshold_of_a_half():
    """The effective sample size is at least 1, of evidence of any size."""
    far = [[30.0] * 6] * 200
    terms = jax.jit(lambda: gaussian(filtering_bound, far, "prior", num_particles=2, threshold=0.5))()
    assert np.asarray(terms.bound).max() < -1_000
    assert not np.asarray(terms.resampled).any()


@pytest.mark.parametrize("resampling", ["multinomial", "stratified", "systematic"])
def test_a_particle_has_on_average_as_many_children_as_its_weight_says(resampling):
    weights = np.array([0.0, 0.13, 0.52, 0.35, 0.0], np.float32)
    log_w = jnp.broadcast_to(jnp.log(weights)[:, None], (5, 20_000))
    ancestors, log_probability = _resample(jax.random.key(1), log_w, resampling)
    children = np.stack([(ancestors == i).sum(axis=0) for i in range(5)], axis=1)
    assert_mean(children[:, 1:4], 5 * weights[1:4])
    assert not children[:, [0, 4]].any()
    if resampling != "multinomial":
        room = {"stratified": 2, "systematic": 1}[resampling]
        assert (np.abs(children - 5 * weights) < room).all()
        assert (np.diff(ancestors, axis=0) >= 0).all()
    # The log-probability of the ancestors is the logarithm of how often they are drawn.
    _, inverse, counts = np.unique(ancestors, axis=1, return_inverse=True, return_counts=True)
    often = counts > 400
    stated = np.exp([log_probability[np.argmax(inverse == kind)] for kind in np.flatnonzero(often)])
    error = 5 * np.sqrt(stated * (1 - stated) / 20_000)
    assert often.any()
    np.testing.assert_array_less(np.abs(counts[often] / 20_000 - stated), error + 1e-6)


@pytest.mark.parametrize("resampling", ["multinomial", "stratified", "systematic"])
@pytest.mark.parametrize("noise", [0.0, np.nextafter(np.float32(1), np.float32(0))])
def test_the_least_and_the_largest_noise_choose_no_weight_of_zero(noise, resampling, monkeypatch):
    """0 is the end of the first weights, of zero. A sum of weights is rounded below 1, and a point up to 1."""
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape: jnp.full(shape, noise, jnp.float32))
    weights = np.random.RandomState(0).uniform(size=(9, 200)).astype(np.float32)
    weights[[0, 8]] = 0
    ancestors = np.asarray(_resample(jax.random.key(0), jnp.log(weights), resampling)[0])
    assert ((ancestors > 0) & (ancestors < 8)).all()


def test_weights_of_zero_give_minus_infinity_and_a_name():
    symbols = np.array([0, 2, 0])
    never = jnp.zeros((2, 2)).at[1, 1].set(-jnp.inf)  # the second sequence: state 0 does not emit symbol 0
    in_state_0 = np.broadcast_to(np.array([1, 0], np.float32), (3, 2, 2))
    terms = hidden_markov(filtering_bound, never, in_state_0, symbols, num_particles=2, criterion="always", score=True)
    assert np.isfinite(terms.bound[0])
    assert terms.bound[1] == -np.inf
    with pytest.raises(ValueError, match=r"at step 0 of example 1$"):
        check_evidence(terms.evidence)
    check_evidence(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="at step 1 of example 0"):
        check_evidence(np.array([[0.0, 0.0], [-np.inf, 0.0], [-np.inf, -np.inf]]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_particles": 0}, "num_particles must be an integer of at least 1, got 0"),
        ({"criterion": "often"}, "criterion must be one of .*, got 'often'"),
        ({"resampling": "residual"}, "resampling must be one of .*, got 'residual'"),
        ({"threshold": 0.0}, r"threshold must be in \(0, 1\], got 0.0"),
        ({"threshold": 1.5}, r"threshold must be in \(0, 1\], got 1.5"),
    ],
)
def test_settings_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        gaussian(filtering_bound, [TWO], "prior", **{"num_particles": 2} | wrong)


def test_shapes_are_checked():
    call = partial(filtering_bound, jax.random.key(0), step=partial(gaussian_step, "prior"), num_particles=2)
    with pytest.raises(AssertionError, match="x and context must be"):
        call(jnp.zeros((3, 2, 1)), jnp.ones((2, 3), bool), {"z": jnp.zeros((2, 1))})
