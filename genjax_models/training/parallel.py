"""One step on many devices.

The batch is split over the devices, and the step keeps its meaning: a loss is the loss of the whole batch, even if it
does not separate over examples (MMD, batch statistics).
"""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax.random import fold_in
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from genjax_models.training.trainer import trainer
from genjax_models.types import Batch, Metrics, Objective, Players, PRNGKey, Trainer, TrainState

AXIS = "data"


def data_mesh(devices: int | None = None) -> Mesh:
    """Returns a mesh of one axis, "data", over `devices` devices; all if None. Each process gives its first devices.

    Raises:
      ValueError: `devices` is below one or above the number there is, or the processes cannot give equal shares.
    """
    existing, processes = jax.devices(), jax.process_count()
    if devices is not None and not 1 <= devices <= len(existing):
        raise ValueError(f"devices must be between 1 and {len(existing)}, which {_this_machine()}, got {devices}")
    if devices is not None and devices % processes:
        raise ValueError(f"devices must be a multiple of {processes}, the number of processes, got {devices}")
    by_process = [[device for device in existing if device.process_index == process] for process in range(processes)]
    share = (devices or len(existing)) // processes
    for process, own in enumerate(by_process):
        if len(own) < share:
            raise ValueError(f"each process must give {share} devices, and process {process} has {len(own)}")
    chosen = [device for own in by_process for device in own[:share]]
    # Auto axes: the compiler places arrays. jax's default, Explicit, needs a sharding in every operation.
    return jax.make_mesh((len(chosen),), (AXIS,), (AxisType.Auto,), devices=chosen)


def data_parallel(train: Trainer, mesh: Mesh, *, shard_optimizer: bool = False) -> Trainer:
    """Returns `train` with its batch split over the mesh and its state on every device.

    It is an ordinary `Trainer`: jit it, loop over it, or give it to `runs.fit`, and donate the state if you own it. It
    computes the same as one device, to rounding: only the placement of arrays is given, and the compiler adds the
    communication.

    Args:
      train: trainer whose step is spread.
      mesh: from `data_mesh`.
      shard_optimizer: whether each device keeps only a share of the optimizers' state (ZeRO-1; Rajbhandari et al.,
        2020): less memory for more communication. Measured with Adam on a VAE of 1.29 million parameters and four
        devices: 2.5 MiB of moments on each instead of 9.8; in the compiled loop XLA splits the variables between steps
        too (1.2 MiB of 4.9). On shares of two CPU cores it takes as long either way; no accelerators have been
        measured.

    Returns:
      A `Trainer`. Call its functions under `jax.jit`; while tracing, they raise ValueError for a batch that the
      devices do not divide.
    """
    everywhere, spread = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(AXIS))

    def placed(state: TrainState) -> TrainState:
        state = jax.lax.with_sharding_constraint(state, jax.tree.map(lambda _: everywhere, state))
        if not shard_optimizer:
            return state
        shares = jax.tree.map(lambda leaf: NamedSharding(mesh, _share(leaf.shape, mesh.size)), state.opt_state)
        return state._replace(opt_state=jax.lax.with_sharding_constraint(state.opt_state, shares))

    def init(key: PRNGKey, batch: Batch) -> TrainState:
        return placed(train.init(key, batch))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_divides(len(batch.x), mesh.size)
        state, metrics = train.step(state, jax.lax.with_sharding_constraint(batch, spread))
        return placed(state), metrics

    return train._replace(init=init, step=step)


def pmapped(
    objective: Objective,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    devices: int | None = None,
    **options,
) -> Trainer:
    """Returns a data-parallel trainer by `jax.pmap`: each device runs the step on its own share of the batch.

    Prefer `data_parallel`: `pmap` is in maintenance (jax implements it on `shard_map`), and here every device has the
    loss of its own share. Gradients are averaged over devices before their norm and the optimizer; an average from
    outside a finished step would come too late, since the devices have already moved apart. Keys are folded with
    the device's index, and batch statistics are averaged after the step.

    The result equals the result of `data_parallel` for losses that are means over examples and draw nothing; for losses
    that draw, it is equal in distribution. A loss that does not separate over examples must gather the examples itself,
    over the axis "data", as `objectives.matching(..., axis="data")` does. Batch normalisation has the moments of each
    share.

    Args:
      objective: players, losses, sample.
      optimizers: player -> optax transformation.
      devices: number of devices of this process, the first ones; all if None.
      options: options of `trainer`.

    Returns:
      A `Trainer` whose state and metrics have a leading axis `[devices]`, in which all entries are equal, and whose
      step takes a batch `[batch, ...]`. The step is compiled, and donates nothing.

    Raises:
      ValueError: as `trainer` and `data_mesh`; from `init`, a player with integer state next to "params" (Markov
        chains), of which devices cannot take a mean; from `step`, a batch that the devices do not divide.
    """
    chosen = list(data_mesh(devices).devices.flat)
    mean = partial(jax.lax.pmean, axis_name=AXIS)
    train = trainer(objective, optimizers, over_devices=mean, **options)

    def local(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        own = state._replace(key=fold_in(state.key, jax.lax.axis_index(AXIS)))
        moved, metrics = train.step(own, batch)
        agreed = moved._replace(
            key=state.key,
            variables=_with_mean_statistics(moved.variables, mean),
            average=_with_mean_statistics(moved.average, mean),
        )
        return agreed, mean(metrics)

    compiled = jax.pmap(local, axis_name=AXIS, devices=chosen)

    def init(key: PRNGKey, batch: Batch) -> TrainState:
        state = jax.jit(train.init)(key, batch)
        _check_averages(state.variables)
        return jax.tree.map(lambda a: jnp.broadcast_to(a, (len(chosen), *a.shape)), state)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_divides(len(batch.x), len(chosen))
        return compiled(state, jax.tree.map(lambda a: a.reshape(len(chosen), -1, *a.shape[1:]), batch))

    return train._replace(init=init, step=step, begin=None)


def check_divides(batch_size: int, devices: int) -> None:
    """Refuses a batch that the devices do not divide.

    Raises:
      ValueError: the batch size is no multiple of `devices`; the message names the nearest multiples.
    """
    if remainder := batch_size % devices:
        smaller = batch_size - remainder
        near = f"{smaller} or {smaller + devices}" if smaller else f"{devices}"
        raise ValueError(f"a batch of {batch_size} cannot be split over {devices} devices; {near} can")


def _check_averages(players: Players) -> None:
    """Raises ValueError for a player with state outside "params" that is not floating point."""
    for player, variables in players.items():
        for name, values in variables.items():
            types = {str(leaf.dtype) for leaf in jax.tree.leaves(values) if not jnp.issubdtype(leaf.dtype, jnp.inexact)}
            if types and name != "params":
                raise ValueError(
                    f"`pmapped` cannot average the state {name!r} of player {player!r} over devices:"
                    f" it is {', '.join(sorted(types))}. Use `data_parallel`."
                )


def _with_mean_statistics(players: Players, mean) -> Players:
    """Returns the players with all but "params" averaged over devices; "params" are equal already."""
    averaged = lambda a: mean(a) if jnp.issubdtype(a.dtype, jnp.inexact) else a
    return {
        player: {name: v if name == "params" else jax.tree.map(averaged, v) for name, v in variables.items()}
        for player, variables in players.items()
    }


def _share(shape: tuple[int, ...], devices: int) -> PartitionSpec:
    """Splits the first axis that the devices divide; an array without such an axis stays whole."""
    axis = next((i for i, size in enumerate(shape) if size % devices == 0), None)
    return PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, AXIS)


def _this_machine() -> str:
    processes = jax.process_count()
    return "this machine has" if processes == 1 else f"the {processes} processes have"
