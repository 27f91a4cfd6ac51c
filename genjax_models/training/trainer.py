"""One trainer for every objective: a game of named players becomes one pure step."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
from jax.random import fold_in

from genjax_models.estimators.checks import check_steps
from genjax_models.types import (
    Array,
    Batch,
    Loss,
    Metrics,
    Objective,
    Players,
    PRNGKey,
    Trainer,
    TrainState,
    Variables,
)


def trainer(
    objective: Objective,
    optimizers: Mapping[str, optax.GradientTransformation] | optax.GradientTransformation,
    *,
    updates: Mapping[str, int] = {},
    average: Mapping[str, float] = {},
    accumulate: Mapping[str, int] = {},
    simultaneous: bool = False,
    gradient_norm: bool | None = None,
    over_devices: Callable[[Any], Any] | None = None,
) -> Trainer:
    """Turns an objective into `init` and a pure `step`.

    In a step every player moves, in the order of `objective.losses`. A move follows the gradient of the player's own
    loss with respect only to its own "params". Later players see the earlier players after their moves.

    A player may have no "params", only state (Markov chains, say). The `Aux.variables` of the losses are all that moves
    it, and its optimizer sees the empty tree {}.

    Args:
      objective: players, losses, sample.
      optimizers: player -> optax transformation, one per loss; or one transformation, which every player has. At each
        move a transformation with extra arguments gets `value`, the loss before the move, `grad`, its gradient, and
        `value_fn`: params -> the loss with the same key and share. `optax.lbfgs` and `reduce_on_plateau` need them.
      updates: player -> number of moves in a step, 1 if absent. The batch is cut into as many interleaved shares as the
        largest number of moves; move j sees share j and fresh noise.
      average: player -> decay in [0, 1) of an exponential moving average of its floating-point variables after each
        step; integers are copied. The weights sum to one over the steps made (the correction of Adam's moments; Kingma
        and Ba, 2015), so that the initial variables have no weight: at 0.999 they would have a half after 700 steps,
        and samples would be grey.
      accumulate: player -> number of parts of its share in one move, 1 if absent. The parts pass one after another,
        each with fresh noise, and the optimizer sees the mean of their gradients: as much memory as for one part. This
        is the gradient of the whole share if the loss is a mean over examples. It is another one with batch statistics,
        which are then of each part, and with a loss that compares examples (MMD).
      simultaneous: whether all players move from their positions at the start of the step. Each then keeps the
        collections (batch statistics) that its own loss moved.
      gradient_norm: whether to report the norm of each player's gradient, as "gradient_norm"; None reports it for two
        players or more, whose balance it shows. Adds 10% to the step of a small VAE on a CPU.
      over_devices: gradient -> its mean over the devices of a mapped axis, before its norm and the optimizer
        (`parallel.pmapped`); None if the step sees the whole batch.

    Returns:
      A `Trainer`. `step` is a scan body, vmaps over seeds and traces once. Its metrics are `player/name`, means over
      the player's moves, so that one move that is not finite shows. Batches are prepared: those of `Prepared.train`
      pass `Prepared.each_step` first.

    Raises:
      ValueError: the players of losses and optimizers differ; `updates`, `average` or `accumulate` name an unknown
        player or hold a value out of range; from `init` and `step`, while tracing, a batch whose x is not floating
        point, or that the shares do not divide; from `init`, an optimizer that needs "params" for a player without.
    """
    if isinstance(optimizers, optax.GradientTransformation):
        optimizers = dict.fromkeys(objective.losses, optimizers)
    _check(objective, optimizers, updates, average, accumulate)
    extended = {player: optax.with_extra_args_support(optimizer) for player, optimizer in optimizers.items()}
    moves = {player: updates.get(player, 1) for player in objective.losses}
    shares = max(moves.values())
    with_norm = len(moves) > 1 if gradient_norm is None else gradient_norm

    def init(key: PRNGKey, batch: Batch) -> TrainState:
        check_steps("batch.x", batch.x, batch.length, objective.range)
        init_key, key = jax.random.split(key)  # split(key)[i] is fold_in(key, i): never keep a key that was split
        return begin(key, objective.init(init_key, batch))

    def begin(key: PRNGKey, variables: Players) -> TrainState:
        opt_state = {player: _opt_state(player, extended[player], variables[player]) for player in moves}
        # Copies, since the loop donates the state and no buffer may be donated twice.
        averages = {player: jax.tree.map(jnp.copy, variables[player]) for player in average}
        return TrainState(jnp.int32(0), key, variables, opt_state, averages)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_steps("batch.x", batch.x, batch.length, objective.range)
        key, variables, opt_state, metrics = fold_in(state.key, state.step), state.variables, {}, {}
        batches = _interleaved(batch, shares)
        for i, (player, loss) in enumerate(objective.losses.items()):
            start = state.variables if simultaneous else variables
            keys = jax.random.split(fold_in(key, i), moves[player])
            turns = keys, jax.tree.map(lambda share, n=moves[player]: share[:n], batches)
            gradient = _gradient(player, loss, state.step, accumulate.get(player, 1))
            move = _move(player, gradient, extended[player], with_norm, over_devices)
            (moved, opt_state[player]), reported = jax.lax.scan(move, (start, state.opt_state[player]), turns)
            variables = {**variables, player: moved[player]} if simultaneous else moved
            metrics |= {f"{player}/{name}": jnp.mean(values, axis=0) for name, values in reported.items()}
        averages = {
            player: _average(state.average[player], variables[player], decay, state.step)
            for player, decay in average.items()
        }
        return TrainState(state.step + 1, state.key, variables, opt_state, averages), metrics

    return Trainer(init, step, objective.range, objective.adversaries, begin)


def _gradient(player: str, loss: Loss, step: Array, parts: int) -> Callable:
    """Returns (players, key, share) -> (players as the loss moved them, gradient, metrics).

    The gradient of a player without "params" is {}.
    """

    def of_part(variables, key, share):
        own = variables[player]
        params = own.get("params", {})

        def value(params):
            return loss({**variables, player: _with_params(own, params)}, key, share, step)

        (loss_value, aux), gradient = jax.value_and_grad(value, has_aux=True)(params)
        moved = _keep_params(variables, aux.variables or {})
        return moved, gradient, {**aux.metrics, "loss": loss_value}

    def of_share(variables, key, share):
        def add(carry, turn):
            variables, total = carry
            moved, gradient, metrics = of_part(variables, *turn)
            return (_at_precision_of(variables, moved), jax.tree.map(jnp.add, total, gradient)), metrics

        turns = jax.random.split(key, parts), _interleaved(share, parts)
        start = variables, jax.tree.map(jnp.zeros_like, variables[player].get("params", {}))
        (moved, total), metrics = jax.lax.scan(add, start, turns)
        mean = lambda values: jnp.mean(values, axis=0)
        return moved, jax.tree.map(lambda a: a / parts, total), jax.tree.map(mean, metrics)

    return of_part if parts == 1 else of_share


def _move(
    player: str,
    gradient_of: Callable,
    optimizer: optax.GradientTransformationExtraArgs,
    with_norm: bool,
    over_devices: Callable[[Any], Any] | None,
) -> Callable:
    """Returns one move as a scan body: (players and optimizer state, (key, share)) -> (both after the move, metrics).

    The optimizer's tree of a player without "params" is {}.
    """
    mean = over_devices or (lambda values: values)

    def move(carry, turn):
        (variables, opt_state), (key, share) = carry, turn
        params = variables[player].get("params", {})
        moved, gradient, metrics = gradient_of(variables, key, share)
        gradient, value = mean(gradient), mean(_at_precision_of_params(params, metrics["loss"]))

        def value_and_gradient(params):
            players = {**variables, player: _with_params(variables[player], params)}
            _, gradient, metrics = gradient_of(players, key, share)
            return mean((_at_precision_of_params(params, metrics["loss"]), gradient))

        extra = {"value": value, "grad": gradient, "value_fn": _differentiable(value_and_gradient)}
        change, new_state = optimizer.update(gradient, opt_state, params, **extra)
        opt_state = _at_precision_of(opt_state, new_state)
        moved[player] = _with_params(moved[player], optax.apply_updates(params, change))
        moved = _at_precision_of(variables, moved)
        norm = {"gradient_norm": optax.tree.norm(gradient)} if with_norm and "params" in variables[player] else {}
        return (moved, opt_state), {**metrics, **norm}

    return move


def _differentiable(value_and_gradient: Callable[[Any], tuple[Array, Any]]) -> Callable[[Any], Array]:
    """Returns params -> value, whose derivative is the given gradient.

    JAX would otherwise keep the residuals of all parts of a share, and would differentiate the mean over devices as
    the value of one device.
    """

    @jax.custom_jvp
    def value(params):
        return value_and_gradient(params)[0]

    @value.defjvp
    def _(primals, tangents):
        result, gradient = value_and_gradient(*primals)
        products = jax.tree.map(lambda g, change: jnp.sum(g * change), gradient, *tangents)
        return result, jax.tree.reduce(jnp.add, products).astype(result.dtype)

    return value


def _opt_state(player: str, optimizer: optax.GradientTransformation, variables: Variables) -> Any:
    """Returns the state in which the player's optimizer begins, of the types that it has after a step."""
    try:
        state = optimizer.init(variables.get("params", {}))
    except LookupError as error:
        if "params" in variables:
            raise
        raise ValueError(
            f"optimizers[{player!r}] needs a player with parameters, and {player!r} has none. Use optax.sgd"
        ) from error
    strong = lambda a: jax.lax.convert_element_type(a, a.dtype) if getattr(a, "weak_type", False) else a
    return jax.tree.map(strong, state)  # a line search begins with weak types, and a step would be traced twice


def _at_precision_of_params(params: Any, value: Array) -> Array:
    """Returns the value of a loss with the precision of the parameters, which line searches assume."""
    return value.astype(jnp.result_type(*jax.tree.leaves(params))) if jax.tree.leaves(params) else value


def _interleaved(batch: Batch, shares: int) -> Batch:
    """Returns leaves `[shares, batch / shares, ...]`; share j has the examples j, j + shares, ...

    Interleaving keeps every example on its device if the batch axis is sharded.
    """
    size = len(batch.x)
    if size % shares:
        raise ValueError(
            f"a batch of {size} cannot be cut into {shares} equal shares (the most moves in `updates`, or the parts in"
            " `accumulate`)"
        )
    chex.assert_tree_shape_prefix(batch, (size,))
    return jax.tree.map(lambda a: a.reshape(-1, shares, *a.shape[1:]).swapaxes(0, 1), batch)


def _with_params(variables: Variables, params: Any) -> Variables:
    """Returns the variables with these params; unchanged if the player has none."""
    return {**variables, "params": params} if "params" in variables else variables


def _keep_params(before: Players, after: Players) -> dict[str, Variables]:
    """Returns the players with the mutable collections of `after`, and the params of `before`."""
    moved = {
        player: {name: values for name, values in variables.items() if name != "params"}
        for player, variables in after.items()
    }
    return {**before, **{player: {**before[player], **collections} for player, collections in moved.items()}}


def _at_precision_of(before: Any, after: Any) -> Any:
    """Returns `after`, with floats of the precision that they had: float64 data or noise must not widen the state."""

    def keep(old: Any, new: Any) -> Any:
        floats = jnp.issubdtype(old.dtype, jnp.inexact) and jnp.issubdtype(new.dtype, jnp.inexact)
        return new.astype(old.dtype) if floats and new.dtype != old.dtype else new

    if jax.tree.structure(before) != jax.tree.structure(after):
        return after  # the scan names the difference
    return jax.tree.map(keep, before, after)


def _average(average: Variables, variables: Variables, decay: float, steps: Array) -> Variables:
    """Returns the average over one more step than `steps`, the step that led to `variables`."""
    log = math.log(decay or 1e-9)
    kept = decay * jnp.expm1(steps * log) / jnp.expm1((steps + 1) * log)  # of 1 - decay^t, without cancellation

    def towards(old, new):
        if not jnp.issubdtype(new.dtype, jnp.inexact):
            return new
        return (kept * old + (1 - kept) * new).astype(new.dtype)

    return jax.tree.map(towards, average, variables)


def _check(objective, optimizers, updates, average, accumulate) -> None:
    players = list(objective.losses)
    if not players:
        raise ValueError("the objective has no losses: there is nothing to train")
    if set(optimizers) != set(players):
        raise ValueError(
            f"optimizers are for {sorted(optimizers)}, but the objective's losses are of {sorted(players)}"
        )
    for argument, named in (("updates", updates), ("average", average), ("accumulate", accumulate)):
        if unknown := sorted(set(named) - set(players)):
            raise ValueError(f"{argument} names {unknown}, but the players are {sorted(players)}")
    for argument, counts in (("updates", updates), ("accumulate", accumulate)):
        for player, count in counts.items():
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ValueError(f"{argument}[{player!r}] must be an integer of at least 1, got {count!r}")
    for player, decay in average.items():
        if not 0 <= decay < 1:
            raise ValueError(f"average[{player!r}] must be a decay in [0, 1), got {decay!r}")
