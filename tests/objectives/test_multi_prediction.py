"""Multi-prediction: losses and gradients of oracle o16, and which units are hidden."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.objectives.multi_prediction import prediction_losses
from genjax_models.types import Batch
from tests import energies as exact
from tests.models.test_boltzmann import CLASS_VARIABLES, DBM, DBM_VARIABLES, SEEN, WITH_CLASS, X
from tests.models.test_mean_field import NAMES
from tests.statistics import assert_drawn_from

KEY = jax.random.key(4)


@pytest.mark.parametrize("sweeps", [1, 2, 5])
def test_multi_prediction_has_the_exact_loss_and_gradient(sweeps):
    """The gradient is that of all sweeps: of the last sweep alone, W1[0, 0] would have -0.0663 for -0.0828."""
    loss = lambda v: prediction_losses(DBM, v, X, SEEN, sweeps=sweeps)[0].sum()
    value, gradient = jax.jit(jax.value_and_grad(loss))(DBM_VARIABLES)
    want = exact.MULTI_PREDICTION[f"K={sweeps}"]
    np.testing.assert_allclose(value, want["loss"], rtol=1e-6)
    for theirs, ours in NAMES.items():
        np.testing.assert_allclose(gradient["params"][ours], want["gradient"][theirs], atol=1e-6)


def test_multi_prediction_of_a_class_is_exact():
    label = jnp.array([exact.LABEL])

    def loss(variables, label_observed, sweeps=2):
        losses = prediction_losses(WITH_CLASS, variables, X, SEEN, label, label_observed, sweeps=sweeps)
        return losses[0].sum() + losses[1].sum()

    for sweeps in (1, 5):
        value = loss(CLASS_VARIABLES, jnp.array([False]), sweeps)
        np.testing.assert_allclose(value, exact.LABELS["loss"][f"K={sweeps}"], rtol=1e-6)
    value, gradient = jax.jit(jax.value_and_grad(loss))(CLASS_VARIABLES, jnp.array([False]))
    np.testing.assert_allclose(value, exact.LABELS["loss"]["K=2"], rtol=1e-6)
    of_class = gradient["params"]["class_weights"], gradient["params"]["class_bias"]
    for got, want in zip(of_class, exact.LABELS["gradient_K2_of_Wy_and_by"], strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)
    shown = jax.jit(loss)(CLASS_VARIABLES, jnp.array([True]))
    field = jax.nn.sigmoid(WITH_CLASS.infer(CLASS_VARIABLES, X, SEEN, label, sweeps=2).v_logits)
    np.testing.assert_allclose(shown, -np.log((1 - field[0, 1]) * field[0, 3]), rtol=1e-5)


def test_with_nothing_or_all_missing_the_loss_is_finite():
    batch = Batch(jnp.tile(X, (3, 1)), jnp.array([0, 1, 2]))

    def loss(variables, missing):
        objective = gx.multi_prediction(WITH_CLASS, missing=missing, label_missing=missing)
        return objective.losses["machine"]({"machine": variables}, KEY, batch, jnp.int32(0))

    loss = jax.jit(jax.value_and_grad(loss, has_aux=True))
    for missing in (0.0, 1.0):
        (value, aux), gradient = loss(CLASS_VARIABLES, missing)
        chex.assert_tree_all_finite((value, aux, gradient))
        of_all = 4 * aux.metrics["nats_per_pixel"] + aux.metrics["nats_per_label"]
        np.testing.assert_allclose(value, missing * of_all, rtol=1e-5)
        np.testing.assert_allclose(aux.metrics["accuracy"], missing / 3, rtol=1e-6)  # x is the same, labels are not


def losses_of_pairs(machine, **options):
    """Returns the losses of 4,000 batches of two examples, by a machine whose params are zero, and metrics of one."""
    variables = {"machine": jax.tree.map(jnp.zeros_like, CLASS_VARIABLES if machine.classes else DBM_VARIABLES)}
    batch = Batch(jnp.zeros((2, 4)), jnp.zeros(2, jnp.int32) if machine.classes else None)
    loss = gx.multi_prediction(machine, **options).losses["machine"]
    each = jax.jit(jax.vmap(lambda key: loss(variables, key, batch, jnp.int32(0))))
    values, aux = each(jax.random.split(KEY, 4_000))
    return 2 * values, aux.metrics


def test_each_example_hides_a_uniform_share_of_its_pixels():
    """Each hidden pixel costs log 2. Of four pixels 0 to 4 are hidden, equally often, and apart from other examples."""
    totals, metrics = losses_of_pairs(DBM)
    np.testing.assert_allclose(metrics["nats_per_pixel"][totals > 0], np.log(2), rtol=1e-5)
    hidden = np.asarray(totals / np.log(2))
    np.testing.assert_allclose(hidden, np.round(hidden), atol=1e-4)
    assert_drawn_from(np.round(hidden).astype(int), np.convolve(np.full(5, 0.2), np.full(5, 0.2)))


@pytest.mark.parametrize("share", [0.8, 0.3])
def test_labels_are_hidden_with_their_probability(share):
    """Each hidden label costs log 3, and each example draws by itself."""
    options = {} if share == 0.8 else {"label_missing": share}
    totals, metrics = losses_of_pairs(WITH_CLASS, missing=0.0, **options)
    np.testing.assert_allclose(metrics["nats_per_label"][totals > 0], np.log(3), rtol=1e-5)
    hidden = np.round(np.asarray(totals / np.log(3))).astype(int)
    assert_drawn_from(hidden, [(1 - share) ** 2, 2 * share * (1 - share), share**2])


def test_pixels_and_labels_are_hidden_apart():
    totals, _ = losses_of_pairs(WITH_CLASS, missing=0.5, label_missing=0.5)
    costs = np.add.outer(np.log(3) * np.arange(3), np.log(2) * np.arange(9)).ravel()
    found = np.abs(np.asarray(totals)[:, None] - costs).argmin(axis=1)
    assert_drawn_from(found, np.outer([0.25, 0.5, 0.25], [math.comb(8, k) / 256 for k in range(9)]).ravel())


def test_multi_prediction_refuses_what_does_not_fit():
    for options in ({"missing": 1.5}, {"label_missing": -0.1}, {"sweeps": 0}, {"gradient": "none"}, {"missing": "all"}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
            gx.multi_prediction(DBM, **options)
    with pytest.raises(ValueError, match="needs a `label` per example"):
        gx.multi_prediction(WITH_CLASS).losses["machine"]({"machine": CLASS_VARIABLES}, KEY, Batch(X), jnp.int32(0))
    for label_missing in (0.0, 1.0):  # as evidence, and as a target
        loss = gx.multi_prediction(WITH_CLASS, label_missing=label_missing).losses["machine"]
        with pytest.raises(ValueError, match="labels must be 0 to 2, got 9"):
            loss({"machine": CLASS_VARIABLES}, KEY, Batch(X, jnp.array([9])), jnp.int32(0))
