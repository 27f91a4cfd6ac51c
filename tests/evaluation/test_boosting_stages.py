"""The stages of boosting: log Z by enumeration and by annealing, KL, and what a discriminator knows."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.estimators.boosting import best_coefficient
from genjax_models.evaluation.boosting_stages import additive_partition, boosting_stages, least_loss
from tests.energies import BOOSTING as O

KEY = jax.random.key(0)
RANDOM = np.random.RandomState(0)


def variables_of(model, coefficients):
    """Returns random features with these coefficients."""
    d, n = math.prod(model.shape), len(coefficients)
    features = {
        "weights": jnp.asarray(RANDOM.normal(0, 1, (d, n)), jnp.float32),
        "bias": jnp.asarray(RANDOM.normal(0, 1, n), jnp.float32),
        "coefficient": jnp.asarray(coefficients, jnp.float32),
        "visible_bias": jnp.asarray(RANDOM.normal(0, 0.5, d), jnp.float32),
    }
    return {"features": features}


def test_annealing_agrees_with_enumeration_within_five_standard_errors():
    """17 units are annealed; the last is independent of the others, so that 16 can be enumerated.

    The stated error of one estimate is that of several, to the precision of an error of four (41%).
    """
    small, large = gx.additive_energy_model((16,), 2), gx.additive_energy_model((17,), 2)
    variables = variables_of(small, [2.0, -1.5])
    features = variables["features"]
    more = {
        **features,
        "weights": jnp.pad(features["weights"], ((0, 1), (0, 0))),
        "visible_bias": jnp.pad(features["visible_bias"], (0, 1)),
    }
    exact = additive_partition(small, variables, KEY)
    assert (exact.standard_error, exact.num_chains) == (0, 0)
    annealed = jax.jit(
        lambda key: additive_partition(large, {"features": more}, key, num_chains=200, num_temperatures=10)
    )
    found = [annealed(jax.random.fold_in(KEY, i)) for i in range(4)]
    for one in found:
        assert abs(one.log_partition - exact.log_partition - math.log(2)) < 5 * one.standard_error
        assert 1 < one.effective_sample_size < one.num_chains == 200
    errors = np.array([one.standard_error for one in found])
    spread = np.std([one.log_partition for one in found], ddof=1)
    assert errors.max() / 3 < spread < 3 * errors.min()


def test_too_few_chains_or_temperatures_are_refused():
    model = gx.additive_energy_model((17,), 1)
    for name in ("num_chains", "num_temperatures"):
        with pytest.raises(ValueError, match=f"{name} must be an integer of at least 2, got 1"):
            additive_partition(model, model.init(), KEY, **{name: 1})


@pytest.mark.slow
def test_the_kl_and_the_losses_of_the_stages():
    model = gx.additive_energy_model((2, 2), 1)
    variables = variables_of(model, [0.0])
    x = jnp.array([[[0, 0], [1, 1]], [[1, 1], [0, 0]], [[0, 0], [1, 1]]], jnp.float32)
    states = (np.arange(16)[:, None] >> np.arange(4)[::-1] & 1).astype(np.float32).reshape(-1, 2, 2)
    feature = variables["features"]
    feature["bias"] = -jnp.mean(states.reshape(-1, 4) @ feature["weights"], axis=0)  # else the best a is beyond 30
    on = lambda x: jax.nn.sigmoid(x.reshape(-1, 4) @ feature["weights"] + feature["bias"])
    base = jax.nn.softmax(states.reshape(-1, 4) @ feature["visible_bias"])
    on_negatives = jax.random.choice(KEY, on(states)[:, 0], (100_000,), p=base)
    a, _ = best_coefficient(on(x)[:, 0], on_negatives, least_effective=1e-3)
    assert abs(a) < 30
    feature["coefficient"] = a[None]
    stages = boosting_stages(model, variables, x)
    log_q = model.log_density(variables, states)
    log_q = log_q - jax.nn.logsumexp(log_q)
    of = {tuple(state.ravel()): float(log) for state, log in zip(states, log_q, strict=True)}
    p = {(0, 0, 1, 1): 2 / 3, (1, 1, 0, 0): 1 / 3}
    np.testing.assert_allclose(stages.kl[-1], sum(q * (math.log(q) - of[s]) for s, q in p.items()), atol=1e-5)
    assert stages.kl[1] < stages.kl[0]
    assert stages.before[0] < math.log(4) - 0.01
    np.testing.assert_allclose(stages.after[0], math.log(4), atol=1e-3)


def test_the_stage_of_the_oracle_is_exact():
    """Data in counts of 100 and a uniform model. The best of all features, log p / q, has the loss log 4 - 2 JSD."""
    model, states = gx.additive_energy_model((3,), 1), (np.arange(8)[:, None] >> np.arange(3)[::-1] & 1)
    counts = np.round(100 * np.array(O["inputs"]["p"])).astype(int)
    features = {"weights": jnp.array([[1.5], [-2.0], [1.0]]), "bias": jnp.array([-0.2]), "visible_bias": jnp.zeros(3)}
    log_density = lambda a: model.log_density({"features": {**features, "coefficient": jnp.array([a])}}, states)
    np.testing.assert_allclose(log_density(1.0), O["inputs"]["feature_values"], rtol=1e-6)
    np.testing.assert_allclose(log_density(1.0) @ (counts / 100), O["E_p_feature"], rtol=1e-6)
    np.testing.assert_allclose(log_density(1.0).mean(), O["E_q_feature"], rtol=1e-6)
    features["coefficient"] = jnp.array([O["best_coefficient"]])
    stages = boosting_stages(model, {"features": features}, np.repeat(states, counts, axis=0))
    np.testing.assert_allclose(stages.kl, [O["kl_before"], O["kl_after"]], rtol=1e-6)
    np.testing.assert_allclose(stages.before, O["discriminator"]["loss"], rtol=1e-6)
    np.testing.assert_allclose(stages.after, math.log(4), rtol=1e-6)
    q = np.array(O["inputs"]["q0"])
    log_ratio = np.log(counts / 100 / q)
    floor = least_loss(np.repeat(log_ratio, counts), log_ratio, q)
    np.testing.assert_allclose(floor, O["discriminator"]["floor_log4_minus_2jsd"], rtol=1e-6)


def test_more_than_16_units_are_not_enumerated():
    model = gx.additive_energy_model((17,), 1)
    with pytest.raises(ValueError, match="enumeration needs at most 16 units, got 17"):
        boosting_stages(model, variables_of(model, [0.0]), jnp.zeros((2, 17)))


def test_data_that_are_not_binary_are_refused():
    model = gx.additive_energy_model((2,), 1)
    with pytest.raises(ValueError, match=r"x must be 0 or 1, got 0\.5"):
        boosting_stages(model, variables_of(model, [0.0]), jnp.full((3, 2), 0.5))
