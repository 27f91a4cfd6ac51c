"""Predictions of what is missing, and the masks that hide it: oracle o16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.evaluation.missing import class_probabilities, masks, predict_missing
from genjax_models.models import conditionals
from tests import energies as exact
from tests.models.test_boltzmann import CLASS_VARIABLES, DBM, DBM_VARIABLES, SEEN, WITH_CLASS, X

KEY = jax.random.key(8)
PICTURES = jnp.zeros((300, 6, 8, 2))
MEAN = conditionals.mean_pixel(jnp.zeros(4))


def test_random_masks_hide_pixels_with_all_their_channels():
    seen = np.asarray(masks(KEY, PICTURES, "random", share=0.3))
    np.testing.assert_array_equal(seen[..., 0], seen[..., 1])
    assert abs(seen.mean() - 0.7) < 5 * np.sqrt(0.21 / (300 * 48))
    np.testing.assert_array_equal(seen[:7], masks(KEY, PICTURES[:7], "random", share=0.3))
    assert masks(KEY, PICTURES, "random", share=0.0).all()
    assert not masks(KEY, PICTURES, "random", share=1.0).any()


def test_a_half_is_the_lower_half():
    seen = np.asarray(masks(KEY, PICTURES, "half"))
    assert seen[:, :3].all()
    assert not seen[:, 3:].any()
    np.testing.assert_array_equal(masks(KEY, jnp.zeros((1, 5)), "half")[0], [1, 1, 1, 0, 0])


def test_a_block_is_a_rectangle_anywhere():
    hidden = ~np.asarray(masks(KEY, PICTURES, "block", share=0.25))[..., 0]
    np.testing.assert_array_equal(hidden.sum((1, 2)), 3 * 4)
    assert (hidden.any(2).sum(1) == 3).all()
    assert (hidden.any(1).sum(1) == 4).all()
    corners = {(int(h.any(1).argmax()), int(h.any(0).argmax())) for h in hidden}
    assert len(corners) == 4 * 5


def test_nats_of_missing_pixels_are_exact_at_every_batch_size():
    x, seen = jnp.tile(X, (3, 1)), jnp.tile(SEEN, (3, 1))
    seen = seen.at[2].set(True)
    p = np.array(exact.MULTI_PREDICTION["K=2"]["v"])[[1, 3]]
    for batch_size in (2, 3):
        way = conditionals.mean_field(DBM, sweeps=2)
        got = predict_missing(way, DBM_VARIABLES, KEY, x, seen, batch_size=batch_size)
        want = -np.log((1 - p[0]) * p[1])
        np.testing.assert_allclose(got["nats"], [want, want, 0], rtol=1e-5)
        np.testing.assert_array_equal(got["missing"], [2, 2, 0])
    np.testing.assert_allclose(want, exact.MULTI_PREDICTION["K=2"]["loss"], rtol=1e-6)


def test_draws_do_not_depend_on_the_batch_size():
    x, seen = jnp.tile(X, (3, 1)), jnp.tile(SEEN, (3, 1))
    way = conditionals.clamped_gibbs(DBM, sweeps=2, burn_in=1)
    one, other = (predict_missing(way, DBM_VARIABLES, KEY, x, seen, batch_size=size) for size in (1, 3))
    np.testing.assert_allclose(one["nats"], other["nats"], rtol=1e-5)
    assert len(np.unique(one["nats"])) > 1


def test_classes_of_partial_pictures_are_exact():
    p = class_probabilities(WITH_CLASS, CLASS_VARIABLES, X, SEEN, sweeps=60)
    np.testing.assert_allclose(p[0], exact.LABELS["given_subset"]["mean_field_y"], rtol=1e-5)
    other = class_probabilities(WITH_CLASS, CLASS_VARIABLES, X, SEEN, sweeps=5, multi_inference=True)
    np.testing.assert_allclose(np.sum(other), 1, rtol=1e-6)
    assert np.abs(p - other).max() > 1e-3
    behind = class_probabilities(WITH_CLASS, CLASS_VARIABLES, jnp.where(SEEN, X, jnp.nan), SEEN, sweeps=60)
    np.testing.assert_array_equal(p, behind)
    many = jnp.array(exact.DATA), jnp.tile(SEEN, (5, 1))
    of_size = lambda size: class_probabilities(WITH_CLASS, CLASS_VARIABLES, *many, batch_size=size)
    np.testing.assert_allclose(of_size(2), of_size(5), rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: masks(KEY, PICTURES, "stripes"), "kind must be one of"),
        (lambda: masks(KEY, PICTURES, "random", share=2), "share must be in"),
        (lambda: masks(KEY, jnp.zeros((2, 5)), "block"), "a block needs examples of at least two axes"),
        (lambda: predict_missing(MEAN, {}, KEY, X, X), "observed must be bool"),
        (lambda: predict_missing(MEAN, {}, KEY, jnp.where(SEEN, X, 0.5), SEEN), "x must be 0 or 1, got 0.5"),
        (lambda: predict_missing(MEAN, {}, KEY, X * 7, SEEN), "x must be 0 or 1, got 7.0"),
        (
            lambda: class_probabilities(WITH_CLASS, CLASS_VARIABLES, X / 2, SEEN),
            "x must be 0 or 1 where it is observed",
        ),
        (lambda: class_probabilities(WITH_CLASS, CLASS_VARIABLES, X, X), "observed must be bool"),
        (lambda: class_probabilities(DBM, DBM_VARIABLES, X, SEEN), "needs a machine with classes"),
        (lambda: class_probabilities(WITH_CLASS, CLASS_VARIABLES, X[:, :3], SEEN), "x must be"),
    ],
)
def test_what_does_not_fit_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_they_are_at_the_front_door():
    assert gx.predict_missing is predict_missing
    assert gx.class_probabilities is class_probabilities
