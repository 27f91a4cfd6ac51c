"""Mean field of machines of one and two layers against enumeration: oracle o16."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.models.boltzmann import deep_boltzmann_machine, restricted_boltzmann_machine
from genjax_models.models.mean_field import Field, start_of
from genjax_models.types import Batch
from tests import energies as exact
from tests.statistics import assert_drawn_from

KEY = jax.random.key(2)
DBM = deep_boltzmann_machine((4,), (3, 2))
WITH_CLASS = deep_boltzmann_machine((4,), (3, 2), classes=3)
RBM = restricted_boltzmann_machine((4,), 3)
OF_RBM = {"weights": exact.W, "visible_bias": exact.B, "hidden_bias": exact.C}
OF_DBM = {**OF_RBM, "hidden_bias": exact.B1, "top_weights": exact.W2, "top_bias": exact.B2}
OF_CLASS = {**OF_DBM, "class_weights": exact.WY, "class_bias": exact.BY}
RBM_VARIABLES, DBM_VARIABLES, CLASS_VARIABLES = (
    {"params": {name: jnp.array(value) for name, value in params.items()}} for params in (OF_RBM, OF_DBM, OF_CLASS)
)
ADDITIVE = gx.additive_energy_model((4,), 2)
X = jnp.array([exact.V])
SEEN = ~jnp.array([exact.MISSING])
ALL = jnp.ones((1, 4), bool)


@partial(jax.jit, static_argnames=("machine", "sweeps", "gradient"))
def infer(machine, variables, *evidence, sweeps, gradient="unrolled"):
    return machine.infer(variables, *evidence, sweeps=sweeps, gradient=gradient)


def states(machine):
    """Returns a field with all states of all units, v leading in binary order."""
    layers = [4, *machine.hidden]
    units = jnp.array(list(itertools.product([0.0, 1.0], repeat=sum(layers))))
    v, h, g = (*jnp.split(units, np.cumsum(layers)[:-1], axis=1), None)[:3]
    if machine.classes is None:
        return Field(v, h, g, None, v, None)
    n = len(units)
    v, h, g = (jnp.repeat(layer, machine.classes, axis=0) for layer in (v, h, g))
    return Field(v, h, g, jnp.tile(jnp.eye(machine.classes), (n, 1)), v, None)


@partial(jax.jit, static_argnums=0)
def log_sums(machine, variables):
    """Returns log sum exp(-E) over all but v, `[16]`."""
    return jax.nn.logsumexp(-machine.energy(variables, states(machine)).reshape(16, -1), axis=1)


def gibbs_kernel():
    """Returns the exact kernel p(v' | v) `[16, 16]` of a Gibbs sweep of the restricted machine, in float64."""
    with jax.enable_x64(True):
        variables = {"params": {name: jnp.array(value) for name, value in OF_RBM.items()}}
        joint = np.exp(-np.asarray(RBM.energy(variables, states(RBM)))).reshape(16, 8)
    return joint / joint.sum(1, keepdims=True) @ (joint / joint.sum(0)).T


def test_gibbs_sweeps_lead_from_the_data_to_the_machine_as_fast_as_the_oracle_says():
    """KL after 1 and 5 sweeps, and the gradient of contrastive divergence after 1 and 5, in float64."""
    kernel, data = gibbs_kernel(), np.bincount(np.array(exact.DATA, int) @ [8, 4, 2, 1], minlength=16) / 5
    np.testing.assert_allclose(kernel[0], exact.ROW_OF_0000, rtol=1e-9)
    eigenvalues = np.sort(np.abs(np.linalg.eigvals(kernel)))
    np.testing.assert_allclose(eigenvalues[-2:], [exact.SECOND_EIGENVALUE, 1], rtol=1e-9)
    kept = np.linalg.matrix_power(kernel, 100)[0]
    np.testing.assert_allclose(kept, exact.P_V, rtol=1e-8)

    def loss(params, swept):
        energy = RBM.free_energy({"params": params}, states(RBM).v[::8])
        return energy @ swept - energy @ data

    for sweeps, kl, gradient in zip((1, 5), exact.KL_DATA_AFTER, (exact.GRADIENT_CD1, exact.GRADIENT_CD5), strict=True):
        swept = data @ np.linalg.matrix_power(kernel, sweeps)
        np.testing.assert_allclose(np.sum(swept * np.log(swept / kept) - swept + kept), kl, rtol=1e-3)
        with jax.enable_x64(True):
            found = jax.grad(loss)({name: jnp.array(value) for name, value in OF_RBM.items()}, swept)
        for theirs, ours in {"W": "weights", "b": "visible_bias", "c": "hidden_bias"}.items():
            np.testing.assert_allclose(found[ours], gradient[theirs], rtol=1e-7)


@partial(jax.jit, static_argnums=0)
def bound_of(machine, variables, field, observed):
    return machine.bound(variables, field, X, observed)[0]


def test_energies_sum_to_the_exact_partition_functions():
    sums = log_sums(DBM, DBM_VARIABLES)
    np.testing.assert_allclose(jax.nn.logsumexp(sums), exact.DBM_LOG_Z, rtol=1e-6)
    np.testing.assert_allclose(sums - exact.DBM_LOG_Z, exact.DBM_LOG_P, rtol=1e-5)
    of_class = jax.nn.logsumexp(log_sums(WITH_CLASS, CLASS_VARIABLES))
    np.testing.assert_allclose(of_class, exact.LABELS["log_z"], rtol=1e-6)
    sums = log_sums(RBM, RBM_VARIABLES)
    np.testing.assert_allclose(jnp.exp(sums - exact.LOG_Z), exact.P_V, rtol=1e-5)
    np.testing.assert_allclose(RBM.free_energy(RBM_VARIABLES, states(RBM).v[::8]), -sums, rtol=1e-5)


def test_all_pixels_seen_the_bound_is_exact_and_its_gap_is_the_kl():
    field = infer(DBM, DBM_VARIABLES, X, ALL, sweeps=60)
    np.testing.assert_allclose(field.h[0], exact.CLAMPED["h"], rtol=1e-5)
    np.testing.assert_allclose(field.g[0], exact.CLAMPED["g"], rtol=1e-5)
    np.testing.assert_array_equal(field.v, X)
    bound = bound_of(DBM, DBM_VARIABLES, field, ALL)
    np.testing.assert_allclose(bound, exact.CLAMPED["bound_at_fixed_point"], rtol=1e-6)
    np.testing.assert_allclose(bound - exact.DBM_LOG_Z, exact.CLAMPED["lower_bound_of_log_p"], rtol=1e-5)
    evidence = log_sums(DBM, DBM_VARIABLES)[11]
    np.testing.assert_allclose(evidence - bound, exact.CLAMPED["gap_is_kl"], atol=2e-6)
    start = start_of(DBM_VARIABLES["params"], DBM.evidence(X, ALL))
    np.testing.assert_allclose(bound_of(DBM, DBM_VARIABLES, start, ALL), exact.CLAMPED["bound_at_start"], rtol=1e-6)


def test_a_subset_seen_means_and_bound_are_exact():
    field = infer(DBM, DBM_VARIABLES, X, SEEN, sweeps=60)
    for layer in "vhg":
        np.testing.assert_allclose(getattr(field, layer)[0], exact.SUBSET[f"mean_field_{layer}"], rtol=1e-5)
    np.testing.assert_allclose(bound_of(DBM, DBM_VARIABLES, field, SEEN), exact.SUBSET["bound"], rtol=1e-6)


@pytest.mark.parametrize("sweeps", [1, 2, 5])
def test_each_number_of_sweeps_has_its_exact_predictions(sweeps):
    field = infer(DBM, DBM_VARIABLES, X, SEEN, sweeps=sweeps)
    np.testing.assert_allclose(field.v[0], exact.MULTI_PREDICTION[f"K={sweeps}"]["v"], rtol=1e-5)


def test_the_class_above_is_exact():
    label, unseen, seen = jnp.array([exact.LABEL]), jnp.array([False]), jnp.array([True])
    field = infer(WITH_CLASS, CLASS_VARIABLES, X, ALL, label, unseen, sweeps=60)
    np.testing.assert_allclose(field.y[0], exact.LABELS["given_all_v"]["mean_field_y"], rtol=1e-5)
    field = infer(WITH_CLASS, CLASS_VARIABLES, X, SEEN, label, unseen, sweeps=60)
    for layer in "yvg":
        want = exact.LABELS["given_subset"][f"mean_field_{layer}"]
        np.testing.assert_allclose(getattr(field, layer)[0], want, rtol=1e-5)
    field = infer(WITH_CLASS, CLASS_VARIABLES, X, SEEN, label, seen, sweeps=5)
    np.testing.assert_allclose(field.v[0], exact.LABELS["label_shown"]["v"], rtol=1e-5)
    np.testing.assert_array_equal(field.y[0], np.eye(3)[exact.LABEL])
    without = infer(WITH_CLASS, CLASS_VARIABLES, X, SEEN, sweeps=60)
    np.testing.assert_allclose(without.y[0], exact.LABELS["given_subset"]["mean_field_y"], rtol=1e-5)


def test_the_bound_never_falls_over_updates_of_one_layer():
    """Layers in turn, by hand; after the last of each sweep, the field is the machine's."""
    p, field = CLASS_VARIABLES["params"], None
    seen, bounds = WITH_CLASS.evidence(X, SEEN), []
    field = start_of(p, seen)
    sigmoid = jax.nn.sigmoid
    for sweeps in (1, 2, 3):
        for layer, update in {
            "h": lambda f: sigmoid(p["hidden_bias"] + f.v @ p["weights"] + f.g @ p["top_weights"].T),
            "v": lambda f: jnp.where(SEEN, X, sigmoid(p["visible_bias"] + f.h @ p["weights"].T)),
            "g": lambda f: sigmoid(p["top_bias"] + f.h @ p["top_weights"] + f.y @ p["class_weights"].T),
            "y": lambda f: jax.nn.softmax(p["class_bias"] + f.g @ p["class_weights"]),
        }.items():
            field = field._replace(**{layer: update(field)})
            bounds.append(bound_of(WITH_CLASS, CLASS_VARIABLES, field, SEEN))
        same = infer(WITH_CLASS, CLASS_VARIABLES, X, SEEN, sweeps=sweeps)
        for mine, theirs in zip(field[:4], same[:4], strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5)
    assert np.diff(bounds).min() > -2e-6
    assert bounds[-1] > bounds[0] + 1e-3


def multi_prediction(variables, gradient, sweeps):
    field = DBM.infer(variables, X, SEEN, sweeps=sweeps, gradient=gradient)
    losses = jax.nn.softplus(field.v_logits) - field.v_logits * X
    return jnp.sum(jnp.where(SEEN, 0, losses))


def test_the_implicit_gradient_is_exact_at_the_fixed_point():
    loss = jax.jit(jax.value_and_grad(multi_prediction), static_argnums=(1, 2))
    (value, implicit), (_, unrolled) = (loss(DBM_VARIABLES, kind, 20) for kind in ("implicit", "unrolled"))
    np.testing.assert_allclose(value, exact.FIXED_POINT["loss"], rtol=1e-6)
    names = {"W1": "weights", "W2": "top_weights", "b0": "visible_bias", "b1": "hidden_bias", "b2": "top_bias"}
    for theirs, ours in names.items():
        want = exact.FIXED_POINT["implicit_gradient"][theirs]
        np.testing.assert_allclose(implicit["params"][ours], want, atol=2e-6)
        np.testing.assert_allclose(unrolled["params"][ours], want, atol=2e-6)


@pytest.mark.parametrize("gradient", ["unrolled", "implicit"])
def test_what_is_missing_is_never_read(gradient):
    label, unseen = jnp.array([2]), jnp.array([False])
    behind = jnp.where(SEEN, X, jnp.nan)

    def bound(variables, x, label):
        field = WITH_CLASS.infer(variables, x, SEEN, label, unseen, sweeps=2, gradient=gradient)
        return WITH_CLASS.bound(variables, field, x, SEEN, label, unseen)[0]

    grad = jax.jit(jax.value_and_grad(bound))
    same = jax.tree.map(np.array_equal, grad(CLASS_VARIABLES, X, label), grad(CLASS_VARIABLES, behind, -label))
    assert jax.tree.all(same)


def test_all_or_nothing_seen_is_finite():
    loss = lambda v, seen: DBM.bound(v, DBM.infer(v, X, seen, sweeps=2), X, seen)[0]
    loss = jax.jit(jax.value_and_grad(loss))
    for seen in (ALL, ~ALL):
        assert jax.tree.all(jax.tree.map(lambda a: np.isfinite(a).all(), loss(DBM_VARIABLES, seen)))


def test_with_multi_inference_seen_pixels_count_half():
    field = jax.jit(partial(DBM.multi_infer, sweeps=1))(DBM_VARIABLES, X, SEEN)
    plain = infer(DBM, DBM_VARIABLES, X, SEEN, sweeps=1)
    prediction = jax.nn.sigmoid(plain.v_logits)
    np.testing.assert_allclose(field.v, jnp.where(SEEN, (X + prediction) / 2, prediction), rtol=1e-6)
    np.testing.assert_allclose(field.h, plain.h)


def test_samples_of_a_deep_machine_have_its_distribution():
    x = jax.jit(lambda key: WITH_CLASS.sample(CLASS_VARIABLES, key, 40_000, sweeps=15))(KEY)
    sums = log_sums(WITH_CLASS, CLASS_VARIABLES)
    assert_drawn_from(np.asarray(x, int) @ [8, 4, 2, 1], jax.nn.softmax(sums))


@pytest.mark.slow
def test_samples_of_a_class_have_the_distribution_of_the_class():
    x = jax.jit(lambda key: WITH_CLASS.sample(CLASS_VARIABLES, key, 40_000, label=2, sweeps=15))(KEY)
    sums = -WITH_CLASS.energy(CLASS_VARIABLES, states(WITH_CLASS)).reshape(16, -1, 3)[:, :, 2]
    sums = jax.nn.logsumexp(sums, axis=1)
    assert_drawn_from(np.asarray(x, int) @ [8, 4, 2, 1], jax.nn.softmax(sums))


def test_hidden_units_of_both_layers_have_no_order():
    of_h, of_g, p = jnp.array([2, 0, 1]), jnp.array([1, 0]), CLASS_VARIABLES["params"]
    same = {"weights": p["weights"][:, of_h], "hidden_bias": p["hidden_bias"][of_h], "top_bias": p["top_bias"][of_g]}
    same |= {"top_weights": p["top_weights"][of_h][:, of_g], "class_weights": p["class_weights"][of_g]}
    one, other = (infer(WITH_CLASS, {"params": {**p, **more}}, X, SEEN, sweeps=3) for more in ({}, same))
    for found, want in zip(other[:4], (one.v, one.h[:, of_h], one.g[:, of_g], one.y), strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-6)


def test_the_visible_bias_starts_at_the_data_mean():
    mean = jnp.array([[0.0, 0.5], [0.25, 1.0]])
    machine = restricted_boltzmann_machine((2, 2), 3, data_mean=mean)
    bias = machine.init(KEY, Batch(jnp.zeros((1, 2, 2))))["params"]["visible_bias"]
    np.testing.assert_allclose(jax.nn.sigmoid(bias), [0.001, 0.5, 0.25, 0.999], rtol=1e-4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: RBM.init(KEY, Batch(X * 0.5)), r"x must be 0 or 1 where it is observed, got 0\.5\. Binarise"),
        (lambda: DBM.infer(DBM_VARIABLES, X, SEEN.astype(jnp.float32), sweeps=1), "observed must be bool of the shape"),
        (lambda: DBM.infer(DBM_VARIABLES, X, SEEN[0], sweeps=1), "observed must be bool of the shape"),
        (lambda: DBM.infer(DBM_VARIABLES, X[:, :3], SEEN, sweeps=1), "x must be"),
        (lambda: DBM.infer(DBM_VARIABLES, X, SEEN, sweeps=0), "sweeps must be an integer of at least 1"),
        (lambda: DBM.infer(DBM_VARIABLES, X, SEEN, sweeps=1, gradient="none"), "gradient must be one of"),
        (lambda: WITH_CLASS.infer(CLASS_VARIABLES, X, SEEN, None, ALL[:, 0], sweeps=1), "needs `label`"),
        (lambda: WITH_CLASS.infer(CLASS_VARIABLES, X, SEEN, ALL[0, :1], ALL, sweeps=1), "label_observed must be bool"),
        *[
            (lambda label=label: WITH_CLASS.infer(CLASS_VARIABLES, X, SEEN, label, sweeps=1), message)
            for label, message in [
                (jnp.array([3]), r"labels must be 0 to 2, got 3 in row 0"),
                (jnp.array([-1]), r"labels must be 0 to 2, got -1 in row 0"),
                (jnp.array([1.0]), "labels must be integers"),
                (jnp.array([1, 1]), r"label must be of the shape \(1,\)"),
                (jnp.array(1), r"label must be of the shape \(1,\)"),
            ]
        ],
        (lambda: WITH_CLASS.sample(CLASS_VARIABLES, KEY, 2, label=9), "labels must be 0 to 2, got 9"),
        (lambda: DBM.free_energy(DBM_VARIABLES, X), "the free energy needs one hidden layer"),
        (lambda: RBM.free_energy(RBM_VARIABLES, X / 2), "x must be 0 or 1"),
        (lambda: RBM.free_energy(RBM_VARIABLES, X * jnp.nan), "x must be 0 or 1"),
        (lambda: RBM.free_energy(RBM_VARIABLES, X.reshape(1, 2, 2)), r"x must be \[batch, 4\]"),
        (lambda: ADDITIVE.log_density(ADDITIVE.init(), X / 2), "x must be 0 or 1"),
        (lambda: ADDITIVE.log_density(ADDITIVE.init(), X.reshape(1, 2, 2)), r"x must be \[n, 4\]"),
        (lambda: deep_boltzmann_machine((4,), (3,)), "hidden must be two numbers"),
        (lambda: restricted_boltzmann_machine((4,), 0), "hidden must be an integer of at least 1"),
        (lambda: restricted_boltzmann_machine((4,), 2, data_mean=jnp.zeros(3)), "data_mean must have the shape"),
        (lambda: RBM.sample(RBM_VARIABLES, KEY, 0), "n must be an integer of at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_machines_are_at_the_front_door():
    assert gx.restricted_boltzmann_machine is restricted_boltzmann_machine
    assert gx.deep_boltzmann_machine is deep_boltzmann_machine
