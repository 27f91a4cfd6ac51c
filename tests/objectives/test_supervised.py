"""A generator from known factors; numbers from the oracle `o17_representations` (supervised_generator)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.objectives.supervised import squared_errors
from genjax_models.systems.supervised import premultiplied, straight
from genjax_models.types import Batch

KEY = jax.random.key(0)
RGB, MADE = [[[0.2, 0.4, 0.6]], [[1.0, 1.0, 1.0]]], [[[0.1, 0.4, 0.8]], [[1.0, 0.5, 1.0]]]
X = jnp.concatenate([jnp.array(RGB), jnp.array([[[1.0]], [[0.0]]])], axis=-1)[None]
X_HAT = jnp.concatenate([jnp.array(MADE), jnp.array([[[0.5]], [[0.25]]])], axis=-1)[None]


class Constant(nn.Module):
    """Generates `X_HAT` whatever it is given."""

    @nn.compact
    def __call__(self, style, factors):
        """Returns the same picture for each example."""
        return self.param("x", lambda key: X_HAT) + 0 * style.sum()


def test_errors_are_sums_over_pixels_and_the_mask_has_its_weight():
    objective = gx.supervised(gx.supervised_model(Constant(), 3, 2), mask_weight=0.1)
    batch = Batch(X, label=jnp.array([1]), factors=jnp.zeros((1, 2)))
    players = objective.init(KEY, Batch(X))
    loss, aux = objective.losses["generator"](players, KEY, batch, 0)
    np.testing.assert_allclose(aux.metrics["image_error"], 0.3, rtol=1e-6)
    np.testing.assert_allclose(aux.metrics["mask_error"], 0.3125, rtol=1e-6)
    np.testing.assert_allclose(loss, 0.33125, rtol=1e-6)  # the mask's error averaged over pixels: 0.315625


def test_errors_are_sums_over_both_axes_of_a_picture():
    errors = squared_errors(jnp.ones((2, 3, 5, 4)), jnp.zeros((2, 3, 5, 4)))
    np.testing.assert_array_equal([errors["image_error"], errors["mask_error"]], [[45, 45], [15, 15]])


def test_targets_are_premultiplied_and_come_back_for_pictures():
    target = premultiplied(X)
    np.testing.assert_allclose(target[0, :, 0, :3], [[0.2, 0.4, 0.6], [0, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(squared_errors(target, X_HAT)["image_error"], [2.3], rtol=1e-6)
    np.testing.assert_allclose(straight(target), X, rtol=1e-6)  # white where nothing is seen


def test_pictures_without_a_mask_have_no_error_of_a_mask():
    assert set(squared_errors(X[..., :3], X_HAT[..., :3])) == {"image_error"}
    np.testing.assert_allclose(squared_errors(X[..., :1], X_HAT[..., :1])["image_error"], [0.01], rtol=1e-5)


@pytest.fixture(scope="module")
def learned():
    generator = gx.SupervisedGenerator((4, 8, 4), 3, 2, hidden=8, joint=8, channels=(4,), kernel=3)
    model = gx.supervised_model(generator, 3, 2)
    return model, jax.jit(model.init)(KEY, Batch(jnp.zeros((1, 4, 8, 4))))


@pytest.mark.slow
def test_the_generator_takes_mixtures_of_styles_and_any_leading_axes(learned):
    model, variables = learned
    styles, factors = model.one_hot(jnp.arange(3)), jnp.array([[0.3, -1.0]] * 3)
    ends = model.generate(variables, styles, factors)
    mixture = jnp.stack([styles, styles[::-1]])
    rows = model.generate(variables, mixture, jnp.stack([factors] * 2))
    assert rows.shape == (2, 3, 4, 8, 4)
    np.testing.assert_allclose(rows[1, 0], ends[2], atol=1e-6)
    assert float(ends.min()) >= 0
    assert model.sample(variables, KEY, 2, label=jnp.array(2)).shape == (2, 4, 8, 4)


def test_labels_that_a_compiled_function_closes_over_are_checked_and_taken(learned):
    model, _ = learned
    np.testing.assert_array_equal(jax.jit(lambda: model.one_hot(np.arange(3)))(), np.eye(3))
    with pytest.raises(ValueError, match=r"^a style must be 0 to 2, got 3 to 3"):
        jax.jit(lambda: model.one_hot(np.array([3])))()


def test_bad_styles_factors_and_shapes_are_one_line(learned):
    model, variables = learned
    with pytest.raises(ValueError, match=r"^a style must be 0 to 2, got 0 to 3$"):
        model.one_hot(jnp.array([0, 3]))
    objective = gx.supervised(model)
    with pytest.raises(ValueError, match=r"^a supervised generator needs a label and factors per example$"):
        objective.losses["generator"]({"generator": variables}, KEY, Batch(jnp.zeros((2, 4, 8, 4))), 0)
    with pytest.raises(ValueError, match=r"^the generator must make examples of shape \(4, 4, 4\), got \(4, 8, 4\)$"):
        model.init(KEY, Batch(jnp.zeros((1, 4, 4, 4))))


def test_a_mirrored_chair_is_seen_from_the_other_side():
    from experiments.chairs import Config, build
    from genjax_models.systems.factors import Changes, CutOuts

    config, dataset = Config(data=CutOuts("chairs:8"), channels=(4,), changes=Changes(still=0.99, mirror=True)).load()
    data = build(config).prepare(dataset)
    batch = data.each_step(KEY, jax.tree.map(lambda a: a[:100], data.train))
    factors, still = np.asarray(batch.factors), np.asarray(data.validation.factors)
    flip = factors[:, 4] == 1
    assert 0 < flip.sum() < 100
    sign = np.where(flip[:, None] & (np.arange(4) == 0), -1, 1)  # of the sine of the azimuth
    np.testing.assert_allclose(factors[:, :4], sign * np.asarray(dataset.train.factors)[:100])
    assert still.shape[1] == 4 + 1 + 8
