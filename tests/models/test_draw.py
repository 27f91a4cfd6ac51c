"""DRAW against every number of two steps (oracle o15), at extreme windows, and through training and evaluation."""

from itertools import product
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.estimators import attention
from genjax_models.estimators.attention import place_of
from genjax_models.models.learning import learning_mode
from genjax_models.types import Batch
from tests.estimators.test_autoregressive import (
    BOUND,
    EPS,
    GRADIENT,
    GRADIENT_AT,
    IMAGE,
    KL_BY_STEP,
    LOG_WEIGHT,
    RECONSTRUCTION,
    WEIGHTS,
    Z,
)
from tests.jaxprs import equations

SHAPE = (3, 4, 1)
X = jnp.asarray(IMAGE)[None, ..., None]
KEY = jax.random.key(3)
WINDOWS = {"read_size": 2, "write_size": 3}
MODEL = gx.draw_model(SHAPE, 2, 2, 2, gx.bernoulli(SHAPE), **WINDOWS)
WHOLE = gx.draw_model(SHAPE, 3, 2, 4, gx.bernoulli(SHAPE))

# Per step: five numbers of the read window, mean and scale of z, five of the write window, KL, log q - log p.
READ = [
    [0.39574329864935276, 0.04978176940282469, -0.36911016864512264, -0.2472548448948133, 0.23682940588288923],
    [0.3152393503505415, -0.05152504150778866, -0.3428051268468747, -0.13187489824829562, 0.272252365234063],
]
MEAN = [[-0.2621053253656348, -0.3898463517475831], [-0.24843769795970178, -0.4038072146946982]]
SCALE = [[0.720374653599294, 0.9242255799231787], [0.7095793013301331, 0.9258263840377556]]
WRITE = [
    [-0.25938688151047373, -0.2890520581784592, 0.10474470756194566, 0.34509023133335026, 0.07987775774097261],
    [-0.2433160057950208, -0.33553710965158423, 0.06380443821126358, 0.3696723346167102, 0.1339693947585095],
]
# Patches that are read from the image and from what it lacks, and patches that are written.
READ_PATCHES = [
    [
        [[0.49332246740976915, 0.7767547741659784], [0.8026364622112736, 0.07636840141469506]],
        [[-0.19981918006616, 0.20165553477096237], [0.1534166359315585, -0.6322631512604586]],
    ],
    [
        [[0.49744617294720644, 0.881647717888911], [0.9510904823424184, 0.09634346028998542]],
        [[-0.23315638780374814, 0.26925507313605324], [0.2905235099820031, -0.6183823282856031]],
    ],
]
WRITTEN_PATCHES = [
    [
        [-0.10886257700607149, 0.31717443474617024, 0.2785501565346039],
        [-0.16815075357376624, -0.36851041576125193, -0.02900145553042309],
        [0.3529947049956596, 0.21785279572446412, -0.23644396965788755],
    ],
    [
        [-0.15279250476431283, 0.2814531063351092, 0.30336925727909914],
        [-0.11915126440936902, -0.3671149045963884, -0.07725434949095321],
        [0.3257840086064196, 0.2515480308646323, -0.19120640140819745],
    ],
]
LOG_RATIO = [0.5752163177287983, 0.4447524104802204]
CANVAS = [
    [
        [0.08895546481208053, 0.4380189365132649, 0.13983007997073896, -0.25569382048784056],
        [-0.2470621322961424, 0.22022764334966227, 0.34659435535188904, -0.06696735906943882],
        [-0.20653065814439261, -0.11250314214297547, 0.2740095842075522, 0.2531188083874442],
    ],
    [
        [-0.016935843588383903, 0.46236015130685726, 0.22443686068367563, -0.13698387450646565],
        [-0.24196346561687393, 0.20153924292710734, 0.3208780548375292, -0.09552704644562496],
        [-0.02420082901437806, -0.047493136170948885, 0.2604371369594089, 0.18815854723207914],
    ],
]


def variables(weights=WEIGHTS):
    """The oracle's weights, at their places in the model."""

    def lstm(name, inputs):
        kernel = weights[f"{name}_W"]
        return {"of_input": {"kernel": kernel[:inputs], "bias": weights[f"{name}_b"]}, "of_hidden": kernel[inputs:]}

    layers = {"posterior": "q", "patch": "patch", "read_window": "read", "write_window": "write"}
    return {
        "params": {
            "encoder": lstm("enc", 10),
            "decoder": lstm("dec", 2),
            **{name: {"kernel": weights[f"{w}_W"], "bias": weights[f"{w}_b"]} for name, w in layers.items()},
            "logits": weights["canvas"].ravel(),
        }
    }


def two_steps(weights, model=MODEL):
    """Returns the distributions of both steps, z of the given noise `[1, 2, 2]`, and the canvases."""
    q = model.posterior(variables(weights), X)
    state, steps, z, canvases = q.start, [], [], []
    for noise in jnp.asarray(EPS):
        step, advance = q.step(state)
        steps.append(step)
        z.append(step.mean() + step.stddev() * noise)
        state = advance(z[-1])
        canvases.append(state.canvas)
    return steps, jnp.stack(z, 1), canvases


def bound(weights):
    steps, z, _ = two_steps(weights)
    kl = sum(step.kl_divergence(gx.models.latent_variable.standard_normal(2))[0] for step in steps)
    return MODEL.likelihood(variables(weights), z).log_prob(X)[0] - kl


def test_two_steps_have_all_numbers_of_the_oracle():
    def numbers():
        steps, z, canvases = two_steps(WEIGHTS)
        v, standard = variables(), gx.models.latent_variable.standard_normal(2)
        return (
            [[step.mean()[0], step.stddev()[0]] for step in steps],
            z[0],
            [canvas.reshape(3, 4) for canvas in canvases],
            [step.kl_divergence(standard)[0] for step in steps],
            [step.log_prob(z[:, t])[0] - standard.log_prob(z[0, t]) for t, step in enumerate(steps)],
            MODEL.likelihood(v, z).log_prob(X)[0],
            MODEL.likelihood(v, z).log_prob(X)[0] + (MODEL.prior(v).log_prob(z) - MODEL.posterior(v, X).log_prob(z))[0],
            MODEL.canvases(v, z)[0, ..., 0],
            MODEL.windows(v, z),
        )

    assert jax.tree.map(jnp.shape, variables()) == jax.tree.map(jnp.shape, MODEL.init(KEY, Batch(X)))
    moments, z, canvases, kl, log_ratio, reconstruction, log_weight, images, places = jax.jit(numbers)()
    np.testing.assert_allclose(moments, np.stack([MEAN, SCALE], 1), rtol=1e-5)
    np.testing.assert_allclose(z, Z, rtol=1e-5)
    np.testing.assert_allclose(canvases, CANVAS, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(images, 1 / (1 + np.exp(-np.array(CANVAS))), rtol=1e-5)
    np.testing.assert_allclose(kl, KL_BY_STEP, rtol=1e-5)
    np.testing.assert_allclose(log_ratio, LOG_RATIO, rtol=1e-5)
    np.testing.assert_allclose(reconstruction, RECONSTRUCTION, rtol=1e-6)
    np.testing.assert_allclose(log_weight, LOG_WEIGHT, rtol=1e-6)
    for place, numbers in zip(places, (READ, WRITE), strict=True):
        exact = place_of(jnp.float32(numbers)[None], height=3, width=4)
        jax.tree.map(lambda got, exact: np.testing.assert_allclose(got, exact, rtol=1e-5), place, exact)


def test_patches_of_both_steps_are_those_of_the_oracle(monkeypatch):
    def patches():
        seen, written = [], []
        look = lambda window, images: seen.append(attention.read(window, images)) or seen[-1]
        paint = lambda window, patch: written.append(patch) or attention.write(window, patch)
        monkeypatch.setattr("genjax_models.models.draw.read", look)
        monkeypatch.setattr("genjax_models.models.draw.write", paint)
        two_steps(WEIGHTS, gx.draw_model(SHAPE, 2, 2, 2, gx.bernoulli(SHAPE), **WINDOWS))
        return jnp.concatenate(seen), jnp.concatenate(written)

    seen, written = jax.jit(patches)()
    np.testing.assert_allclose(seen.reshape(2, 2, 2, 2), READ_PATCHES, rtol=1e-5)
    np.testing.assert_allclose(written, WRITTEN_PATCHES, rtol=1e-5, atol=1e-6)


def test_the_bound_has_the_gradient_of_the_oracle():
    value, gradient = jax.jit(jax.value_and_grad(bound))(WEIGHTS)
    np.testing.assert_allclose(value, BOUND, rtol=1e-6)
    for name, exact in GRADIENT.items():
        np.testing.assert_allclose(gradient[name], exact, rtol=1e-4, atol=2e-6)
    for (name, i, j), exact in GRADIENT_AT.items():
        np.testing.assert_allclose(gradient[name][i, j], exact, rtol=1e-3, atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["kl", *(pytest.param(name, marks=pytest.mark.slow) for name in ("monte_carlo", "iwae"))]
)
def test_learning_paints_once_and_has_the_value_and_gradient_of_judging(name):
    """p(x | z) of a draw is of the canvas that q has painted: one scan, not two."""
    objective = gx.iwae(MODEL, num_samples=3) if name == "iwae" else gx.vae(MODEL, form=name)
    ((player, loss),) = objective.losses.items()

    def judged(v):
        parts = MODEL.posterior(v, X), MODEL.prior(v), lambda z: MODEL.likelihood(v, z)
        if name == "iwae":
            return -gx.iwae_bound(KEY, X, *parts, num_samples=3)[0]
        return -gx.elbo(KEY, X, *parts, form=name)[0]

    learned = jax.jit(jax.value_and_grad(lambda v: loss({player: v}, KEY, Batch(X), 0)[0]))
    value, gradient = learned(variables())
    judging = jax.jit(jax.value_and_grad(judged))
    exact, of_judging = judging(variables())
    np.testing.assert_allclose(value, exact, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), gradient, of_judging)
    operations = [f.lower(variables()).compile().cost_analysis()["flops"] for f in (learned, judging)]
    assert operations[0] < 0.9 * operations[1]


def test_derivatives_store_products_and_compute_windows_again(monkeypatch):
    steps, batch, shape = 7, 4, (13, 11, 1)
    model = gx.draw_model(shape, steps, 3, 17, gx.bernoulli(shape), read_size=2, write_size=5)
    objective = gx.vae(model)
    ((player, loss),) = objective.losses.items()
    images = Batch(jnp.zeros((batch, *shape)))
    weights = objective.init(KEY, images)[player]

    def stored():
        """Shapes, at each step, of what the loop that paints keeps for the one that runs backwards."""
        gradient = jax.make_jaxpr(jax.grad(lambda weights: loss({player: weights}, KEY, images, 0)[0]))(weights)
        scans = [e for e in equations(gradient.jaxpr) if e.primitive.name == "scan" and e.params["length"] == steps]
        painting = scans[0]
        return [v.aval.shape[1:] for v in painting.outvars[painting.params["num_carry"] :]]

    numbers = lambda shapes: sum(map(prod, shapes))
    filterbanks = {(batch, size, shape[0]) for size in (2, 5)}  # of the height; products have the shapes of the width's
    few = stored()
    assert not filterbanks & set(few)
    monkeypatch.setattr(jax, "checkpoint", lambda step, **_: step)
    everything = stored()
    assert filterbanks & set(everything)
    assert numbers(few) < 0.4 * numbers(everything)


@pytest.mark.slow
def test_other_draws_are_painted_anew_in_learning():
    learned = learning_mode(MODEL, variables(), KEY, Batch(X))
    learned.posterior.sample(seed=KEY)
    z = jnp.float32(Z)[None]
    np.testing.assert_allclose(learned.likelihood(z).log_prob(X), [RECONSTRUCTION], rtol=1e-6)


def test_windows_at_every_extreme_have_finite_bounds_and_gradients():
    extremes = jnp.array(list(product([-1e4, 1e4], repeat=5)), jnp.float32)

    @jax.jit
    @jax.vmap
    @jax.value_and_grad
    def of_windows(biases):
        weights = WEIGHTS | {"read_b": biases[:5], "write_b": biases[5:]}
        return bound(weights)

    value, gradient = of_windows(jnp.concatenate([extremes, extremes[::-1]], axis=1))
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()


@pytest.mark.slow
def test_without_attention_the_whole_image_is_read_and_painted():
    """Each pixel of x moves the mean of z_1, and each number of z_1 moves every pixel."""
    v = WHOLE.init(KEY, Batch(X))

    def first_mean(x):
        return WHOLE.posterior(v, x).step(WHOLE.posterior(v, x).start)[0].mean()[0]

    z = jax.random.normal(KEY, (3, 2))
    by_pixel = jax.jit(jax.jacobian(first_mean))(X)
    by_latent = jax.jit(jax.jacobian(lambda z: WHOLE.likelihood(v, z).mean()))(z)
    assert np.all(by_pixel)
    assert np.all(by_latent)
    assert WHOLE.windows is None


@pytest.mark.slow
@pytest.mark.parametrize("model", [MODEL, WHOLE], ids=["attention", "whole"])
def test_a_batch_and_samples_are_each_example_alone(model):
    v, x = model.init(KEY, Batch(X)), jnp.concatenate([X, 1 - X])
    z = jax.random.normal(KEY, (5, 2, *model.prior(v).event_shape))
    together = jax.jit(lambda z: model.posterior(v, x).log_prob(z) + model.likelihood(v, z).log_prob(x))(z)
    alone = jax.jit(lambda z, x: model.posterior(v, x[None]).log_prob(z[None])[0] + model.likelihood(v, z).log_prob(x))
    np.testing.assert_allclose(together, [[alone(z[s, i], x[i]) for i in range(2)] for s in range(5)], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be an integer of at least 1, got 0"),
        ({"latent": 0}, "latent must be an integer of at least 1, got 0"),
        ({"read_size": 1}, "read_size must be an integer of at least 2, got 1"),
        ({"write_size": 4}, "`write_size` must be at most 3 for images of 3 x 4, got 4"),
        ({"shape": (3, 4, 3), "read_size": 2}, "attention needs images of one channel, .* got .3, 4, 3.: `read_size`"),
        ({"shape": (12,), "write_size": 2}, "attention needs images of one channel, .*: `write_size` must be None"),
        ({"likelihood": gx.gaussian(SHAPE, "isotropic")}, "one parameter that depends on z, of shape"),
        ({"likelihood": gx.bernoulli((12,))}, "one parameter that depends on z, of shape"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    options = {"shape": SHAPE, "steps": 2, "latent": 2, "hidden": 2, **change}
    options.setdefault("likelihood", gx.bernoulli(options["shape"]))
    with pytest.raises(ValueError, match=message):
        gx.draw_model(**options)


def test_gradients_that_take_q_and_p_apart_are_refused():
    for gradient in ("sticking_the_landing", "doubly_reparameterized"):
        with pytest.raises(ValueError, match='gradient must be "standard" for a q that shares parameters'):
            gx.iwae(MODEL, num_samples=2, gradient=gradient)


@pytest.mark.slow
def test_a_learned_scale_is_a_constant():
    model = gx.draw_model(SHAPE, 2, 2, 2, gx.gaussian(SHAPE, "global"), write_size=2)
    v = model.init(KEY, Batch(X))
    assert v["params"]["raw_scale"].shape == ()
    assert model.sample(v, KEY, 3).shape == (3, *SHAPE)


@pytest.mark.slow
@pytest.mark.parametrize("windows", [{}, {"read_size": 2, "write_size": 2}], ids=["whole", "attention"])
def test_importance_sampling_gives_probabilities_that_sum_to_one(windows):
    """Over all images of 2 x 2 bits. q is wider than the prior, so that no weight has an infinite variance.

    The tolerance is more than five standard errors: the effective sample sizes are in the hundreds or more.
    """
    model = gx.draw_model((2, 2, 1), 3, 2, 5, gx.bernoulli((2, 2, 1)), **windows)
    images = jnp.array(list(product([0.0, 1.0], repeat=4))).reshape(16, 2, 2, 1)
    leaves, tree = jax.tree.flatten(model.init(jax.random.key(0), Batch(images)))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noise = [0.5 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    drawn = jax.tree.unflatten(tree, [leaf + eps for leaf, eps in zip(leaves, noise, strict=True)])
    bias = drawn["params"]["posterior"]["bias"]
    drawn["params"]["posterior"]["bias"] = bias.at[2:].set(1.2)
    nll = gx.negative_log_likelihood(model, drawn, KEY, images, num_samples=20_000)["negative_log_likelihood"]
    assert jnp.sum(jnp.exp(-nll)) == pytest.approx(1, abs=0.1)
