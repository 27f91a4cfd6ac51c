"""Posteriors by enumeration, and the fixed point of mean field: its gradient, its speed, and layers in turn (o16)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.models import mean_field
from genjax_models.models.boltzmann import deep_boltzmann_machine
from genjax_models.models.mean_field import mean_field_sweep
from tests import energies as exact
from tests.models.test_boltzmann import (
    ALL,
    CLASS_VARIABLES,
    DBM,
    DBM_VARIABLES,
    OF_DBM,
    SEEN,
    WITH_CLASS,
    X,
    multi_prediction,
    states,
)

NAMES = {"W1": "weights", "W2": "top_weights", "b0": "visible_bias", "b1": "hidden_bias", "b2": "top_bias"}


def posterior(machine, variables, observed):
    """Returns the mean of each layer given the observed units, log sum exp(-E) over the others, and p of all states."""
    every = states(machine)
    fits = jnp.all((every.v == X) | ~observed, axis=1)
    log_p = jnp.where(fits, -machine.energy(variables, every), -jnp.inf)
    p = jax.nn.softmax(log_p)
    means = {layer: p @ units for layer, units in zip("vhgy", every[:4], strict=True) if units is not None}
    return means, jax.nn.logsumexp(log_p), p


def test_posteriors_by_enumeration_are_exact():
    means, evidence, _ = posterior(DBM, DBM_VARIABLES, ALL)
    np.testing.assert_allclose(evidence, exact.CLAMPED["minus_free_energy"], rtol=1e-6)
    np.testing.assert_allclose(evidence - exact.DBM_LOG_Z, exact.CLAMPED["log_p"], rtol=1e-6)
    for layer in "hg":
        np.testing.assert_allclose(means[layer], exact.CLAMPED[f"exact_{layer}"], rtol=1e-5)
    means, evidence, p = posterior(DBM, DBM_VARIABLES, SEEN)
    np.testing.assert_allclose(evidence, exact.SUBSET["log_sum_over_missing_h_g"], rtol=1e-6)
    for layer in "vhg":
        np.testing.assert_allclose(means[layer], exact.SUBSET[f"exact_{layer}"], rtol=1e-5)
    each = np.log(jnp.where(X[0] > 0, means["v"], 1 - means["v"]))
    np.testing.assert_allclose(-each.sum(), exact.SUBSET["exact_loss"], rtol=1e-5)
    together = jnp.sum(jnp.where(jnp.all(states(DBM).v == X, axis=1), p, 0))
    np.testing.assert_allclose(-np.log(together), exact.SUBSET["exact_joint_loss"], rtol=1e-5)


def test_posteriors_of_a_class_are_exact():
    for observed, want in ((ALL, exact.LABELS["given_all_v"]), (SEEN, exact.LABELS["given_subset"])):
        means, _, _ = posterior(WITH_CLASS, CLASS_VARIABLES, observed)
        np.testing.assert_allclose(means["y"], want["exact_y"], rtol=1e-5)
    np.testing.assert_allclose(means["v"], want["exact_v"], rtol=1e-5)


def distance(gradient, want):
    """Returns the Euclidean distance between the params of a gradient and those of the oracle."""
    apart = [np.asarray(gradient["params"][ours]) - np.array(want[theirs]) for theirs, ours in NAMES.items()]
    return np.sqrt(sum(np.sum(difference**2) for difference in apart))


def test_gradients_of_few_sweeps_are_as_far_from_the_fixed_point_as_the_oracle_says():
    """After 20 sweeps they are 3e-14 apart: in float64, from the implicit gradient of 80 sweeps."""
    gradient = jax.jit(jax.grad(multi_prediction), static_argnums=(1, 2))
    with jax.enable_x64(True):
        variables = {"params": {name: jnp.array(value, jnp.float64) for name, value in OF_DBM.items()}}
        params = gradient(variables, "implicit", 80)["params"]
        fixed = {theirs: params[ours] for theirs, ours in NAMES.items()}
        for sweeps, apart in exact.FIXED_POINT["distance_of_gradient_to_fixed_point"].items():
            found = distance(gradient(variables, "unrolled", int(sweeps)), fixed)
            np.testing.assert_allclose(found, apart, rtol=0.05 if sweeps == "20" else 1e-5, err_msg=sweeps)
    norm = distance(gradient(DBM_VARIABLES, "implicit", 20), dict.fromkeys(NAMES, 0.0))
    np.testing.assert_allclose(norm, exact.FIXED_POINT["norm"], rtol=1e-6)


def test_the_sweep_at_the_fixed_point_has_the_exact_slope_and_the_gradient_of_one_step():
    p, seen = DBM_VARIABLES["params"], DBM.evidence(X, SEEN)
    field = DBM.infer(DBM_VARIABLES, X, SEEN, sweeps=60)

    def slope(v, h, g):
        swept = mean_field_sweep(p, field._replace(v=v, h=h, g=g), seen)
        return jnp.concatenate([swept.v, swept.h, swept.g], axis=1)[0]

    blocks = jax.jacobian(slope, (0, 1, 2))(field.v, field.h, field.g)
    values = np.linalg.eigvals(jnp.concatenate(blocks, axis=2)[:, 0])
    np.testing.assert_allclose(np.abs(values).max(), exact.FIXED_POINT["spectral_radius_of_sweep"], rtol=1e-5)

    def loss(variables):
        logits = mean_field_sweep(variables["params"], field, seen).v_logits
        return jnp.sum(jnp.where(SEEN, 0, jax.nn.softplus(logits) - logits * X))

    one_step = jax.jit(jax.grad(loss))(DBM_VARIABLES)
    assert distance(one_step, exact.FIXED_POINT["one_step_gradient"]) < 3e-6
    apart = distance(one_step, exact.FIXED_POINT["implicit_gradient"])
    np.testing.assert_allclose(apart, exact.FIXED_POINT["distance_of_one_step"], rtol=1e-5)


@pytest.mark.parametrize("scale", [2.0, 6.0])
def test_layers_in_turn_do_not_swing(scale):
    """Layers that excite each other, from h nearly on and g nearly off."""
    want = exact.SWINGING[f"scale={scale}"]["in turn"]
    np.testing.assert_allclose(swinging(mean_field, scale), [*want["h"], *want["g"], want["change"]], atol=2e-6)


def swinging(of, scale):
    """Returns h and g after 200 sweeps by the module `of`, and the change of the last; layers at once swing."""
    params = {"weights": jnp.zeros((1, 2)), "visible_bias": jnp.zeros(1), "hidden_bias": -scale * jnp.ones(2)}
    params |= {"top_weights": scale * jnp.ones((2, 2)), "top_bias": -scale * jnp.ones(2)}
    seen = deep_boltzmann_machine((1,), (2, 2)).evidence(jnp.ones((1, 1)), jnp.ones((1, 1), bool))
    start = of.start_of(params, seen)._replace(h=jnp.full((1, 2), 0.9), g=jnp.full((1, 2), 0.2))
    before, last = (of.repeated(partial(of.mean_field_sweep, params, seen=seen), start, n) for n in (199, 200))
    return jnp.concatenate([last.h[0], last.g[0], jnp.abs(last.h - before.h)[0, :1]])
