"""Windows of attention against exact numbers, and at every extreme of their parameters."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.attention import Window, attention_window, filterbank, read, write

# Relative centres g~_x and g~_y, log v, log d~, log gamma; an image of 4 x 5 and a patch of 3 x 3.
PARAMETERS = np.array([0.1, -0.2, -0.3, -0.5, 0.4], np.float32)
IMAGE = np.arange(20, dtype=np.float32).reshape(4, 5) / 10
PATCH = np.array([[-0.7, -0.5, -0.3], [-0.1, 0.1, 0.3], [0.5, 0.7, 0.9]], np.float32)
COTANGENT = np.cos(np.arange(20)).reshape(4, 5)
COLUMNS = [
    [0.214227314, 0.473107206, 0.270899405, 0.0402179851, 0.00154809046],
    [0.0130942683, 0.148698454, 0.43781984, 0.334232126, 0.0661553108],
    [0.00012584705, 0.00734867012, 0.111259789, 0.436748562, 0.444517131],
]
READ = [
    [0.412091873, 0.583637306, 0.736777095],
    [0.964327088, 1.13587252, 1.28901231],
    [1.74081283, 1.91235826, 2.06549805],
]
WRITE = [
    [-0.0757398325, -0.193127561, -0.193762582, -0.119879061, -0.0507541572],
    [-0.0204625577, -0.04082831, 0.00258552424, 0.0717093577, 0.0692988419],
    [0.0310982998, 0.0986935659, 0.173447664, 0.227137445, 0.162716484],
    [0.0247329586, 0.0744583627, 0.118418128, 0.143642516, 0.099902955],
]
GRADIENT_OF_READ = [0.277333712, 2.41356147, -0.708335425, 2.11282176, 3.67054759]
GRADIENT_OF_WRITE = [1.4119115, -0.037811446, -0.23327905, -0.296057778, -0.355786534]
OFF_CANVAS = np.array([6.0, 0.0, -3.0, -0.5, 0.0], np.float32)
READ_OFF_CANVAS = [[0.406830527, 0.406830527, 0.406830527], [1.15, 1.15, 1.15], [1.89316947, 1.89316947, 1.89316947]]
# Of another window, with g~_x = 0: 5 pixels, 3 filters.
SYMMETRIC = [
    [0.30427404, 0.554423448, 0.136719139, 0.00456276474, 2.06080963e-05],
    [0.010333864, 0.207561207, 0.564209858, 0.207561207, 0.010333864],
    [2.06080963e-05, 0.00456276474, 0.136719139, 0.554423448, 0.30427404],
]

# F_X of each mistake; of a half pixel, the oracle has only the largest difference from COLUMNS.
WRONG_COLUMNS = {
    "whole exponent squared": [
        [0.235965982, 0.402793351, 0.276469431, 0.076303397, 0.00846783832],
        [0.0348102641, 0.17943611, 0.371915519, 0.309963593, 0.103874513],
        [0.00164658374, 0.0256304351, 0.160420574, 0.403734706, 0.408567701],
    ],
    "variance squared again": [
        [0.185444236, 0.540354944, 0.254570913, 0.019391093, 0.000238813931],
        [0.00434947976, 0.115569269, 0.496490884, 0.344860974, 0.0387293923],
        [7.60891916e-06, 0.00184360249, 0.0722229894, 0.457454069, 0.46847173],
    ],
    "1-based centre with 0-based filters and pixels": [
        [0.289906951, 0.480218717, 0.206244942, 0.0229663141, 0.00066307562],
        [0.0245709763, 0.209287536, 0.462198024, 0.264652849, 0.0392906153],
        [0.00032004137, 0.0140174033, 0.159181571, 0.468685773, 0.357795212],
    ],
}
HALF_PIXEL = 0.17575456286222935

SHAPE = {"size": 3, "height": 4, "width": 5}


@jax.jit
def of_window(parameters):
    """Returns the window, what it reads and writes, and the gradients of two sums of these."""
    window = attention_window(parameters, **SHAPE)
    of_read = jax.grad(lambda p: jnp.sum(read(attention_window(p, **SHAPE), IMAGE) * PATCH))
    of_write = jax.grad(lambda p: jnp.sum(write(attention_window(p, **SHAPE), PATCH) * COTANGENT))
    return window, read(window, IMAGE), write(window, PATCH), of_read(parameters), of_write(parameters)


def assert_are_the_columns(columns):
    np.testing.assert_allclose(columns, COLUMNS, rtol=1e-5)


def assert_filters_sum_to_one(filters):
    np.testing.assert_allclose(filters.sum(axis=-1), np.ones(3), rtol=1e-6)


def test_window_read_and_write_and_their_gradients():
    window, patch, image, gradient_of_read, gradient_of_write = of_window(PARAMETERS)
    assert_are_the_columns(window.columns)
    np.testing.assert_allclose(patch, READ, rtol=1e-5)
    np.testing.assert_allclose(image, WRITE, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient_of_read, GRADIENT_OF_READ, rtol=1e-5)
    np.testing.assert_allclose(gradient_of_write, GRADIENT_OF_WRITE, rtol=1e-5)


def test_a_window_off_the_canvas_reads_the_nearest_edge():
    window, patch, *_ = of_window(OFF_CANVAS)
    assert_filters_sum_to_one(window.columns)
    np.testing.assert_allclose(patch, READ_OFF_CANVAS, rtol=1e-5)


def columns_by_hand(parameters, mistake=None):
    """F_X of 3 filters on 5 pixels as the paper prints it, in float64, with a mistake on request."""
    centre, log_v, log_stride = np.float64(parameters)[[0, 2, 3]]
    centre, variance, stride = np.clip(centre, -3, 3), np.exp(log_v), 4 / 2 * np.exp(log_stride)
    i, pixels, middle = np.arange(1, 4), np.arange(1, 6), 6 / 2 * (centre + 1)
    if mistake == "1-based centre with 0-based filters and pixels":
        i, pixels = i - 1, pixels - 1
    if mistake == "half a pixel":
        pixels, middle = pixels - 1, 5 / 2 * (centre + 1)
    distance = (pixels - (middle + (i - 3 / 2 - 0.5) * stride)[:, None]) ** 2
    exponent = distance / (2 * variance)
    if mistake == "whole exponent squared":
        exponent = distance / (2 * variance) ** 2
    if mistake == "variance squared again":
        exponent = distance / (2 * variance**2)
    weights = np.exp(-exponent)
    return weights / (weights.sum(axis=1, keepdims=True) + (1e-8 if mistake == "1e-8 in the denominator" else 0))


@pytest.mark.parametrize("mistake", [*WRONG_COLUMNS, "half a pixel"])
def test_plausible_mistakes_of_the_filters_are_seen(mistake):
    assert_are_the_columns(columns_by_hand(PARAMETERS))
    wrong = columns_by_hand(PARAMETERS, mistake)
    if mistake in WRONG_COLUMNS:
        np.testing.assert_allclose(wrong, WRONG_COLUMNS[mistake], rtol=1e-5)
    else:
        np.testing.assert_allclose(np.abs(wrong - COLUMNS).max(), HALF_PIXEL, rtol=1e-6)
    with pytest.raises(AssertionError):
        assert_are_the_columns(wrong)


def test_with_1e_8_in_the_denominator_a_window_off_the_canvas_would_read_nothing():
    assert_filters_sum_to_one(columns_by_hand(OFF_CANVAS))
    wrong = columns_by_hand(OFF_CANVAS, "1e-8 in the denominator")
    np.testing.assert_allclose(wrong.sum(axis=-1), np.zeros(3), atol=1e-6)
    with pytest.raises(AssertionError):
        assert_filters_sum_to_one(wrong)


def test_a_filterbank_at_the_middle_is_symmetric():
    filters = filterbank(jnp.float32(3), jnp.float32(1.2), jnp.float32(0.5), size=3, pixels=5)
    np.testing.assert_allclose(filters, SYMMETRIC, rtol=1e-5)
    np.testing.assert_allclose(filters, filters[::-1, ::-1], rtol=1e-5)


def test_a_narrow_window_at_stride_one_reads_the_central_crop():
    rows, columns = (
        filterbank(jnp.float32(c), 1.0 * jnp.ones(()), jnp.float32(1e-4), size=3, pixels=p) for c, p in ((3, 5), (4, 7))
    )
    image = np.arange(35.0, dtype=np.float32).reshape(5, 7)
    np.testing.assert_allclose(read(Window(rows, columns, jnp.zeros(())), image), image[1:4, 2:5], rtol=1e-6)


def test_write_has_the_derivatives_of_its_formula():
    shapes = (2, 3, 4), (2, 3, 3), (2, 3, 5), (2, 4, 5)
    rows, patch, columns, of_image = (np.random.RandomState(i).randn(*shape) for i, shape in enumerate(shapes))
    write_ = lambda rows, patch, columns: write(Window(rows, columns, jnp.zeros(2)), patch)
    by_formula = [
        np.einsum("bij,bjw,bhw->bih", patch, columns, of_image),
        np.einsum("bih,bjw,bhw->bij", rows, columns, of_image),
        np.einsum("bih,bij,bhw->bjw", rows, patch, of_image),
    ]
    pull_back = jax.jit(lambda *factors: jax.vjp(write_, *factors)[1](jnp.float32(of_image)))
    for derivative, expected in zip(pull_back(*map(jnp.float32, (rows, patch, columns))), by_formula, strict=True):
        np.testing.assert_allclose(derivative, expected, rtol=1e-4, atol=1e-5)


def test_value_and_gradient_are_finite_at_every_extreme():
    extremes = np.array(list(product([-3e38, -1e4, 0.0, 1e4, 3e38], repeat=5)), np.float32)
    shape = {"size": 5, "height": 28, "width": 28}

    @jax.jit
    @jax.vmap
    @jax.value_and_grad
    def run(parameters):
        window = attention_window(parameters, **shape)
        image = write(window, jnp.cos(jnp.arange(25.0)).reshape(5, 5))
        return jnp.sum(image) + jnp.sum(jnp.sin(jnp.arange(25.0)).reshape(5, 5) * read(window, image))

    value, gradient = run(extremes)
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    window = jax.jit(lambda p: attention_window(p, **shape))(extremes)
    np.testing.assert_allclose(window.rows.sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(window.columns.sum(axis=-1), 1, rtol=1e-5)


def test_leading_axes_are_those_of_the_parameters():
    images = np.broadcast_to(IMAGE, (3, 2, 4, 5))
    with jax.numpy_rank_promotion("raise"):
        window = jax.jit(lambda p: attention_window(p, **SHAPE))(np.stack([[PARAMETERS, OFF_CANVAS]] * 3))
        patches = read(window, images)
    np.testing.assert_allclose(patches, [[READ, READ_OFF_CANVAS]] * 3, rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "message"),
    [(1, "size must be an integer of at least 2, got 1"), (5, "size must be at most 4 .* 4 x 5, got 5")],
)
def test_sizes_that_do_not_fit_are_refused(size, message):
    with pytest.raises(ValueError, match=message):
        attention_window(PARAMETERS, size=size, height=4, width=5)
