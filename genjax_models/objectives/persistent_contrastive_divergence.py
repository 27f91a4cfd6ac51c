"""The restricted Boltzmann machine learned by maximum likelihood, with chains that persist (Tieleman, 2008)."""

import jax
import jax.numpy as jnp

from genjax_models.estimators.boltzmann import bernoulli_of, gibbs_sweep
from genjax_models.estimators.checks import check_count
from genjax_models.models.boltzmann import BoltzmannMachine
from genjax_models.types import Array, Aux, Batch, Objective, Players, PRNGKey, Variables


def persistent_contrastive_divergence(
    machine: BoltzmannMachine, *, num_chains: int = 100, sweeps: int = 1, sample_sweeps: int = 100
) -> Objective:
    """Returns an objective with one player, "machine", that lowers mean F(data) - mean F(chains).

    With chains at the model's distribution, the gradient is that of -log p, mean over the batch. The chains are int8, a
    collection "chains" of the player. Before each gradient they move by Gibbs sweeps, from where the last step left
    them. The loss is no likelihood, and can have any sign.

    Args:
      machine: a machine of one hidden layer.
      num_chains: number of chains. A run goes on only with the number that it began with.
      sweeps: Gibbs sweeps per step.
      sample_sweeps: Gibbs sweeps of a sample, from the chains.

    Returns:
      An `Objective` that reports "free_energy" of the data and "free_energy_of_chains", in nats. `sample` draws from
      the machine, after `sample_sweeps` sweeps from the chains. `pmapped` refuses it: use `data_parallel`.

    Raises:
      ValueError: the machine is deep; a count is no integer of at least 1; from the loss, another number of chains.
    """
    counts = {"num_chains": num_chains, "sweeps": sweeps, "sample_sweeps": sample_sweeps}
    for name, count in counts.items():
        check_count(name, count)
    if len(machine.hidden) > 1:
        raise ValueError(f"the machine must have one hidden layer, got {len(machine.hidden)}. Use multi_prediction.")

    def init(key: PRNGKey, batch: Batch) -> Players:
        params_key, chains_key = jax.random.split(key)
        variables = machine.init(params_key, batch)
        bias = variables["params"]["visible_bias"]
        v = bernoulli_of(chains_key, jnp.broadcast_to(bias, (num_chains, len(bias))), jnp.int8)
        return {"machine": {**variables, "chains": {"v": v}}}

    def swept(key: PRNGKey, variables: Variables, v: Array, count: int) -> Array:
        layers = machine.restricted(jax.lax.stop_gradient(variables))
        return jax.lax.fori_loop(0, count, lambda i, v: gibbs_sweep(jax.random.fold_in(key, i), v, *layers), v)

    def loss(variables, key, batch, step):
        own = variables["machine"]
        chains = own["chains"]["v"]
        if len(chains) != num_chains:
            raise ValueError(f"num_chains must be {len(chains)}, as in the state that goes on, got {num_chains}")
        v = swept(key, own, chains, sweeps)
        data, model = (jnp.mean(machine.free_energy(own, units)) for units in (batch.x, v.reshape(-1, *machine.shape)))
        metrics = {"free_energy": data, "free_energy_of_chains": model}
        return data - model, Aux(metrics, {"machine": {**own, "chains": {"v": v}}})

    def sample(variables: Players, key: PRNGKey, n: int, *, label: Array | None = None) -> Array:
        check_count("n", n)
        own = variables["machine"]
        v = own["chains"]["v"][jnp.arange(n) % num_chains]
        return swept(key, own, v, sample_sweeps).astype(jnp.float32).reshape(n, *machine.shape)

    return Objective(init, {"machine": loss}, sample, range=machine.support)
