"""Boltzmann machines learned by maximum likelihood, with chains that persist (Tieleman, 2008).

Restricted machines have the exact gradient of the data. Deep machines have the gradient of the bound of mean field, so
that log p(data) may fall (Salakhutdinov and Hinton, 2009).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genjax_models.estimators.boltzmann import bernoulli_of, gibbs_sweep
from genjax_models.estimators.checks import check_binary, check_count
from genjax_models.models.boltzmann import BoltzmannMachine
from genjax_models.models.mean_field import Field, free_energy_of
from genjax_models.types import Array, Aux, Batch, Objective, Players, PRNGKey, Variables

Chains = Any  # a dict of int8 [chains, units] by layer: all layers but h, which each sweep draws first


def persistent_contrastive_divergence(
    machine: BoltzmannMachine,
    *,
    num_chains: int = 100,
    sweeps: int = 1,
    inference_sweeps: int = 10,
    sample_sweeps: int = 100,
) -> Objective:
    """Returns an objective with one player, "machine", that lowers mean F(data) - mean F(chains).

    The gradient is the mean gradient of -log p, if the chains have the model's distribution. The chains are int8, a
    collection "chains" of the player. Before each gradient they move by Gibbs sweeps, from where the last step left
    them. The loss is no likelihood, and can have any sign.

    In a deep machine, F(data) is minus the bound of mean field, whose means are constants of the gradient. Its chains
    have all layers except the lower hidden one, which is summed out. With classes, labels are observed in the data, and
    drawn in the chains.

    Args:
      machine: a machine of one or two hidden layers, with or without classes.
      num_chains: number of chains. A run goes on only with the number that it began with.
      sweeps: Gibbs sweeps per step.
      inference_sweeps: sweeps of mean field per step; read by deep machines only.
      sample_sweeps: Gibbs sweeps of a sample, from the chains.

    Returns:
      An `Objective` that reports "free_energy" of the data and "free_energy_of_chains", in nats. `sample` draws from
      the machine, after `sample_sweeps` sweeps from the chains; labels choose the class. More draws than chains
      start as copies, which few sweeps leave alike. `pmapped` refuses it: use `data_parallel`.

    Raises:
      ValueError: a count is no integer of at least 1; from the loss, another number of chains, or a batch without
        labels for a machine with classes; from `init` and outside jit from the loss, x outside {0, 1}.
    """
    counts = {"num_chains": num_chains, "sweeps": sweeps, "inference_sweeps": inference_sweeps}
    for name, count in {**counts, "sample_sweeps": sample_sweeps}.items():
        check_count(name, count)
    phases = _restricted(machine) if len(machine.hidden) == 1 else _deep(machine, inference_sweeps)

    def init(key: PRNGKey, batch: Batch) -> Players:
        params_key, chains_key = jax.random.split(key)
        variables = machine.init(params_key, batch)
        return {"machine": {**variables, "chains": phases.start(chains_key, variables, num_chains)}}

    def loss(variables, key, batch, step):
        check_binary("x", batch.x)
        own = variables["machine"]
        given = len(own["chains"]["v"])
        if given != num_chains:
            raise ValueError(f"num_chains must be {given}, as in the state that goes on, got {num_chains}")
        chains = phases.swept(key, jax.lax.stop_gradient(own), own["chains"], sweeps, None)
        data, model = jnp.mean(phases.of_data(own, batch)), jnp.mean(phases.of_chains(own, chains))
        metrics = {"free_energy": data, "free_energy_of_chains": model}
        return data - model, Aux(metrics, {"machine": {**own, "chains": chains}})

    def sample(variables: Players, key: PRNGKey, n: int, *, label: Array | None = None) -> Array:
        check_count("n", n)
        own = variables["machine"]
        chains = jax.tree.map(lambda layer: layer[jnp.arange(n) % num_chains], own["chains"])
        v = phases.swept(key, own, chains, sample_sweeps, label)["v"]
        return v.astype(jnp.float32).reshape(n, *machine.shape)

    return Objective(init, {"machine": loss}, sample, range=machine.support)


class _Phases(NamedTuple):
    """Free energies of data and of chains, `[n]` in nats, and the moves of the chains."""

    start: Callable[[PRNGKey, Variables, int], Chains]
    swept: Callable[[PRNGKey, Variables, Chains, int, Array | None], Chains]
    of_data: Callable[[Variables, Batch], Array]
    of_chains: Callable[[Variables, Chains], Array]


def _restricted(machine: BoltzmannMachine) -> _Phases:
    def start(key: PRNGKey, variables: Variables, n: int) -> Chains:
        bias = variables["params"]["visible_bias"]
        return {"v": bernoulli_of(key, jnp.broadcast_to(bias, (n, len(bias))), jnp.int8)}

    def swept(key: PRNGKey, variables: Variables, chains: Chains, count: int, label: Array | None) -> Chains:
        layers = machine.restricted(variables)
        move = lambda i, v: gibbs_sweep(jax.random.fold_in(key, i), v, *layers)
        return {"v": jax.lax.fori_loop(0, count, move, chains["v"])}

    return _Phases(
        start,
        swept,
        of_data=lambda variables, batch: machine.free_energy(variables, batch.x),
        of_chains=lambda variables, chains: machine.free_energy(variables, chains["v"].reshape(-1, *machine.shape)),
    )


def _deep(machine: BoltzmannMachine, inference_sweeps: int) -> _Phases:
    def start(key: PRNGKey, variables: Variables, n: int) -> Chains:
        p, keys = variables["params"], jax.random.split(key, 3)
        logits = {layer: jnp.broadcast_to(p[name], (n, len(p[name]))) for layer, name in _BIASES.items() if name in p}
        chains = {layer: bernoulli_of(keys[i], logits[layer], jnp.int8) for i, layer in enumerate("vg")}
        if machine.classes is not None:
            y = jax.random.categorical(keys[2], logits["y"])
            chains["y"] = jax.nn.one_hot(y, machine.classes, dtype=jnp.int8)
        return chains

    def swept(key: PRNGKey, variables: Variables, chains: Chains, count: int, label: Array | None) -> Chains:
        n = len(chains["v"])
        nothing = jnp.zeros((n, *machine.shape), jnp.float32)
        label = None if label is None or machine.classes is None else jnp.broadcast_to(jnp.asarray(label), (n,))
        seen = machine.evidence(nothing, jnp.zeros(nothing.shape, bool), label)
        move = lambda i, field: machine.gibbs_sweep(variables, jax.random.fold_in(key, i), field, seen)
        field = jax.lax.fori_loop(0, count, move, field_of(chains))
        return {layer: getattr(field, layer).astype(jnp.int8) for layer in chains}

    def field_of(chains: Chains) -> Field:
        units = {layer: values.astype(jnp.float32) for layer, values in chains.items()}
        v, y, h = units["v"], units.get("y"), jnp.zeros((len(units["v"]), machine.hidden[0]), jnp.float32)
        return Field(v, h, units["g"], y, v, y)

    def of_data(variables: Variables, batch: Batch) -> Array:
        if machine.classes is not None and batch.label is None:
            raise ValueError("a machine with classes needs a `label` per example.")
        evidence = batch.x, jnp.ones(batch.x.shape, bool), None if machine.classes is None else batch.label
        field = machine.infer(jax.lax.stop_gradient(variables), *evidence, sweeps=inference_sweeps)
        return -machine.bound(variables, field, *evidence)

    return _Phases(
        start, swept, of_data, lambda variables, chains: free_energy_of(variables["params"], field_of(chains))
    )


_BIASES = {"v": "visible_bias", "g": "top_bias", "y": "class_bias"}
