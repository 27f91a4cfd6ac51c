"""Each plausible mistake of oracle o16, planted once in the source: its value is wrong as the oracle says."""

import importlib
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.types import Batch
from tests import energies as exact
from tests.models.test_boltzmann import ALL, DBM_VARIABLES, RBM_VARIABLES, SEEN, X, gibbs_kernel
from tests.models.test_mean_field import swinging
from tests.objectives.test_self_supervised_boosting import stage_of_the_oracle

KEY, STEP = jax.random.key(7), jnp.int32(0)
DATA = jnp.array(exact.DATA)
PLACES = jnp.array([8, 4, 2, 1])
STATES = jnp.array((np.arange(16)[:, None] & PLACES > 0).astype(np.float32))  # in binary order
MODULES = {  # in the order of their imports: each mutant imports the mutants before it
    "boltzmann": "estimators.boltzmann",
    "annealed_partition": "estimators.annealed_partition",
    "coefficients": "estimators.boosting",
    "mean_field": "models.mean_field",
    "machines": "models.boltzmann",
    "partition": "evaluation.partition",
    "predicting": "objectives.multi_prediction",
    "pcd": "objectives.persistent_contrastive_divergence",
    "boosting": "objectives.self_supervised_boosting",
}


class Value(NamedTuple):
    """A figure that the modules `m` compute."""

    of: Callable
    right: Any
    rtol: float = 2e-6
    atol: float = 0.0

    def check(self, m, expected):
        np.testing.assert_allclose(self.of(m), expected, rtol=self.rtol, atol=self.atol)


class Mistake(NamedTuple):
    """A text in a module, what is planted in its place, and the wrong value."""

    module: str
    right: str
    planted: str
    value: Value
    wrong: Any


def stratified(n, probabilities):
    """Returns n states in proportion to their probabilities, to less than a state each."""
    share = jnp.cumsum(probabilities) / jnp.sum(probabilities)
    return STATES[jnp.searchsorted(share, (jnp.arange(n) + 0.5) / n)]


def log_p(m):
    machine = m.machines.restricted_boltzmann_machine((4,), 3)
    return m.partition.boltzmann_log_likelihood(machine, RBM_VARIABLES, DATA, exact.LOG_Z).mean()


def lower_bound_of_log_p(m):
    machine = m.machines.deep_boltzmann_machine((4,), (3, 2))
    return m.partition.boltzmann_log_likelihood(machine, DBM_VARIABLES, X, exact.DBM_LOG_Z, sweeps=60)[0]


def log_z(m):
    """At one temperature, with perfect transitions; chains start in exact proportion to the base rates."""
    n, rates = 40_000, 1 / (1 + np.exp(-np.array(exact.AIS["base_bias"])))
    base = jnp.prod(jnp.where(STATES > 0, rates, 1 - rates), axis=1)
    path = m.annealed_partition.rbm_path(*map(jnp.array, (exact.W, exact.B, exact.C, exact.AIS["base_bias"])))
    log_w, _ = m.annealed_partition.annealed_partition(
        KEY,
        lambda key, n: stratified(n, base),
        path.log_density,
        lambda key, states, t: stratified(n, jnp.array(exact.P_V)),
        num_chains=n,
        schedule=[0, 1],
    )
    return m.partition.partition_of(log_w, path.log_partition).log_partition


def gradient_of_log_p(m):
    """By many chains of the machine, which a sweep moves in exact proportion to its kernel."""
    n, kernel = 100_000, jnp.asarray(gibbs_kernel(), jnp.float32)

    def exact_sweep(key, v, *machine):
        counts = jnp.bincount(v.astype(jnp.int32) @ PLACES, length=16)
        return stratified(n, counts @ kernel).astype(v.dtype)

    m.pcd.gibbs_sweep = exact_sweep
    machine = m.machines.restricted_boltzmann_machine((4,), 3)
    objective = m.pcd.persistent_contrastive_divergence(machine, num_chains=n)
    chains, batch = {"v": stratified(n, jnp.array(exact.P_V)).astype(jnp.int8)}, Batch(jnp.tile(DATA, (n // 5, 1)))

    def loss(params):
        return objective.losses["machine"]({"machine": {"params": params, "chains": chains}}, KEY, batch, STEP)[0]

    return -jax.jit(jax.grad(loss))(RBM_VARIABLES["params"])["weights"][0, 0]


def predictions(m, variables, **options):
    machine = m.machines.deep_boltzmann_machine((4,), (3, 2))
    return m.predicting.prediction_losses(machine, variables, X, SEEN, **options)[0].sum()


def gradient_of_predictions(**options):
    return lambda m: jax.jit(jax.grad(lambda variables: predictions(m, variables, **options)))(DBM_VARIABLES)["params"][
        "weights"
    ][0, 0]


def swing(scale, how):
    """Returns what `swinging` has for layers "in turn" or "at once"."""
    of = exact.SWINGING[f"scale={scale}"][how]
    return np.array([*of["h"], *of["g"], of["change"]])


def swings(scale):
    return Value(lambda m: swinging(m.mean_field, scale), swing(scale, "in turn"), atol=2e-6)


def bound(m):
    machine = m.machines.deep_boltzmann_machine((4,), (3, 2))
    return machine.bound(DBM_VARIABLES, machine.infer(DBM_VARIABLES, X, ALL, sweeps=60), X, ALL)[0]


def kl(m):
    """KL after one stage of boosting, whose discriminator is at its best: KL before less the gain that is kept."""
    best, model = exact.BOOSTING["discriminator"], gx.additive_energy_model((3,), 1)
    objective = m.boosting.self_supervised_boosting(model, steps_per_stage=1, num_negatives=8)
    own, batch = stage_of_the_oracle(best["a"], best["b"])
    aux = jax.jit(objective.losses["energy"])({"energy": own}, KEY, batch, STEP)[1]
    return exact.BOOSTING["kl_before"] - aux.variables["energy"]["features"]["gain"][0]


LOG_P, LOG_Z = Value(log_p, exact.MEAN_LOG_P), Value(log_z, exact.LOG_Z, 1e-4)
ENERGY = Value(lambda m: m.boltzmann.free_energy(DATA, *map(jnp.array, (exact.W, exact.B, exact.C)))[1], -2.8052563)
GRADIENT = Value(gradient_of_log_p, exact.GRADIENT["W"][0][0], 0.005)
LOSS = Value(lambda m: predictions(m, DBM_VARIABLES, sweeps=2), exact.MULTI_PREDICTION["K=2"]["loss"])
UNROLLED = Value(gradient_of_predictions(sweeps=5), exact.MULTI_PREDICTION["K=5"]["gradient"]["W1"][0][0])
IMPLICIT = Value(
    gradient_of_predictions(sweeps=20, gradient="implicit"), exact.FIXED_POINT["implicit_gradient"]["W1"][0][0]
)
LOWER_BOUND = Value(lower_bound_of_log_p, exact.CLAMPED["lower_bound_of_log_p"])
BOUND = Value(bound, exact.CLAMPED["bound_at_fixed_point"])
KL = Value(kl, exact.BOOSTING["kl_after"])

MISTAKES = {
    "no log Z in log p": Mistake("partition", "batch_size) - log_partition", "batch_size)", LOG_P, 3.0133071),
    "no log Z in the bound of a deep machine": Mistake(
        "partition", "batch_size) - log_partition", "batch_size)", LOWER_BOUND, 5.3660153),
    "a start of annealing without its base rates": Mistake(
        "annealed_partition", "jnp.sum(jax.nn.softplus(base_bias)) + hidden", "hidden", LOG_Z, 3.0616249),
    "a start of annealing without its hidden units": Mistake(
        "annealed_partition", " + hidden_bias.size * np.log(2.0)", "", LOG_Z, 3.6202412),
    "a free energy with the sign of the hidden units": Mistake(
        "boltzmann", "return -v @ visible_bias - jnp.sum", "return -v @ visible_bias + jnp.sum", ENERGY, 4.0052563),
    "a gradient of the data alone": Mistake("pcd", "return data - model", "return data", GRADIENT, 0.4480625),
    "a gradient with the chains added": Mistake(
        "pcd", "return data - model", "return data + model", GRADIENT, 0.8163293),
    "chains that start at the data": Mistake(
        "pcd", 'own["chains"], sweeps', '{"v": batch.x}, sweeps', GRADIENT, 0.0759330),
    "chains at the mean of independent units": Mistake(
        "pcd", "phases.of_chains(own, chains)",
        'phases.of_chains(own, {"v": jax.nn.sigmoid(own["params"]["visible_bias"])[None]})', GRADIENT, 0.1726651),
    "the mean of log w": Mistake("partition", "log_mean_exp(log_weights)", "jnp.mean(log_weights)", LOG_Z, 5.5503099),
    "a weight after the move": Mistake(
        "annealed_partition", "increment = log_density(states, after)",
        "states = transition(key, states, after); increment = log_density(states, after)", LOG_Z, 5.9834703),
    "a start that is not doubled": Mistake("mean_field", "2 * from_below", "from_below", LOSS, 1.5101841),
    "doubled at every sweep": Mistake(
        "mean_field", 'h_logits = p["hidden_bias"][None] + field.v', 'h_logits = p["hidden_bias"][None] + 2 * field.v',
        LOSS, 1.5922268),
    "no input from above": Mistake(
        "mean_field", 'h_logits += field.g @ p["top_weights"].T', "pass", LOSS, 1.5802057),
    "no input from below": Mistake(
        "mean_field", 'h_logits = p["hidden_bias"][None] + field.v', 'h_logits = p["hidden_bias"][None] + 0 * field.v',
        LOSS, 1.4219518),
    "observed units that move": Mistake(
        "mean_field", "jnp.where(seen.v_observed, seen.v, unit(v_logits))", "unit(v_logits)", LOSS, 1.5282227),
    "missing units that start at 0": Mistake(
        "mean_field", "seen.v, sigmoid(v_logits)", "seen.v, 0", LOSS, 1.4830108),
    "a loss of all units": Mistake("predicting", "jnp.where(observed, 0, ", "jnp.where(False, 0, ", LOSS, 2.7210945),
    "a prediction of what was shown": Mistake(
        "predicting", "machine.infer(variables, x, observed,", "machine.infer(variables, x, observed | True,",
        LOSS, 1.4086560),
    "a mask that is inverted": Mistake(
        "predicting", 'check_binary("x", x)', "observed = ~observed", LOSS, 1.2716848),
    "a bound without entropies": Mistake(
        "machines", "entropy_of(field, seen) - energy_of", "-energy_of", BOUND, 2.6822482),
    "a gradient of the last sweep alone": Mistake(
        "mean_field", "(step(field), None)", "(step(jax.lax.stop_gradient(field)), None)", UNROLLED, -0.0662791),
    "an implicit gradient of one step": Mistake(
        "mean_field", "(jnp.negative, target), length=sweeps", "(jnp.negative, target), length=0",
        IMPLICIT, -0.0662942),
    **{f"layers at once, scale {scale:g}": Mistake(
        "mean_field", '[None] + h @ p["top_weights"]\n        g =', '[None] + field.h @ p["top_weights"]\n        g =',
        swings(scale), swing(scale, "at once")) for scale in (2.0, 6.0)},
    "a coefficient of the other sign": Mistake(
        "coefficients", "return a, _effective(a, f)", "return -a, _effective(a, f)", KL, 0.2886857),
    "the coefficient of the discriminator": Mistake(
        "boosting", "best_coefficient(*found, least_effective=least_effective)", "slope, 1.0", KL, 0.2395412),
    "twice the coefficient": Mistake(
        "coefficients", "return a, _effective(a, f)", "return 2 * a, _effective(a, f)", KL, 0.2515649),
    "a gain without log Z": Mistake(
        "coefficients", "jnp.mean(on_data) - log_ratio", "jnp.mean(on_data)", KL, 0.5313781),
}  # fmt: skip


def mutants(monkeypatch, mistake=None):
    """Returns the modules by name; a mistake is planted in one of them."""
    sources = {name: inspect.getsource(importlib.import_module(f"genjax_models.{at}")) for name, at in MODULES.items()}
    if mistake:
        assert sources[mistake.module].count(mistake.right) == 1
        sources[mistake.module] = sources[mistake.module].replace(mistake.right, mistake.planted)
    found = types.SimpleNamespace()
    for name, source in sources.items():
        for at in MODULES.values():
            source = source.replace(f"from genjax_models.{at} import", f"from mutant.{at} import")
        mutant = types.ModuleType(f"mutant.{MODULES[name]}")
        monkeypatch.setitem(sys.modules, mutant.__name__, mutant)
        exec(source, mutant.__dict__)
        setattr(found, name, mutant)
    return found


@pytest.mark.parametrize(
    "value", {mistake.value.of: mistake.value for mistake in MISTAKES.values()}.values(), ids=lambda v: v.of.__name__
)
def test_without_a_mistake_values_are_right(value, monkeypatch):
    value.check(mutants(monkeypatch), value.right)


@pytest.mark.parametrize("name", MISTAKES)
def test_planted_mistakes_are_wrong_as_the_oracle_says(name, monkeypatch):
    mistake = MISTAKES[name]
    mutant = mutants(monkeypatch, mistake)
    mistake.value.check(mutant, mistake.wrong)
    with pytest.raises(AssertionError, match="Mismatched"):
        mistake.value.check(mutant, mistake.value.right)
