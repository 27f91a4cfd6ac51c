"""Self-supervised boosting: an energy model that fools logistic regressions (Welling, Zemel and Hinton, 2002; 20.10.4).

In each stage a logistic regression on one feature f(x) = sigmoid(x'w + c) learns to tell data from negatives, draws of
the model. At the end of the stage the model answers: it adds a f(x) to its log-density, with the coefficient a of the
largest gain. Where a is not shrunk, the discriminator on f that is fitted again, on the same negatives weighted to the
new model, has a = 0 and the loss log 4: it knows nothing.
"""

import jax
import jax.numpy as jnp

from genjax_models.estimators.boosting import best_coefficient, gain
from genjax_models.estimators.checks import check_binary, check_count
from genjax_models.models.additive_energy import AdditiveEnergyModel
from genjax_models.types import Array, Aux, Batch, Objective, Players, PRNGKey


def self_supervised_boosting(
    model: AdditiveEnergyModel,
    *,
    steps_per_stage: int,
    num_negatives: int = 1_000,
    sweeps: int = 20,
    sample_sweeps: int = 100,
    least_effective: float = 1 / 3,
) -> Objective:
    """Returns an objective with one player, "energy", whose params are a logistic regression per stage.

    The loss is the discriminator's, E_p softplus(-(a f + b)) + E_q softplus(a f + b): log 4 if it knows nothing. Step t
    is in stage t // steps_per_stage, which has a slot of its own in the params. At the last step of a stage the feature
    goes into the frozen collection "features", which alone is the model: Adam would still move a finished slot. At the
    first step of the next stage the negatives, int8, move by Gibbs sweeps of the new model. After the last feature the
    model stays.

    Args:
      model: the model, with a feature per stage.
      steps_per_stage: steps of a logistic regression.
      num_negatives: number of draws of the model. A run goes on only with the number that it began with.
      sweeps: Gibbs sweeps of the negatives at the start of a stage.
      sample_sweeps: Gibbs sweeps of a sample, from the negatives.
      least_effective: share of the negatives that a coefficient must leave effective; see `best_coefficient`.

    Returns:
      An `Objective` that reports "accuracy", the mean of the shares of data and of negatives that are told correctly,
      and "stage". `sample` draws from the model, after `sample_sweeps` sweeps from the negatives. More draws than
      negatives start as copies, which few sweeps leave alike. `pmapped` refuses it: use `data_parallel`.

    Raises:
      ValueError: a count is no integer of at least 1; from `init`, another shape; from the loss, another number of
        negatives; from both, outside jit, x outside {0, 1}.
    """
    counts = {"steps_per_stage": steps_per_stage, "num_negatives": num_negatives, "sweeps": sweeps}
    for name, count in {**counts, "sample_sweeps": sample_sweeps}.items():
        check_count(name, count)

    def init(key: PRNGKey, batch: Batch) -> Players:
        if batch.x.shape[1:] != model.shape:
            raise ValueError(f"the model must have the shape of the data, {batch.x.shape[1:]}, got {model.shape}")
        check_binary("x", batch.x)
        weights_key, negatives_key = jax.random.split(key)
        variables = model.init(batch)
        size, stages = variables["features"]["weights"].shape
        # At the start x'w + c has mean 0 and a standard deviation of about 2, so that features are not saturated.
        weights = 4 / size**0.5 * jax.random.normal(weights_key, (size, stages), jnp.float32)
        bias = -jax.nn.sigmoid(variables["features"]["visible_bias"]) @ weights
        params = {"weights": weights, "bias": bias, "slope": jnp.ones_like(bias), "offset": jnp.zeros_like(bias)}
        negatives = model.base(variables, negatives_key, num_negatives)
        return {"energy": {"params": params, **variables, "negatives": {"x": negatives}}}

    def loss(variables, key, batch, step):
        check_binary("x", batch.x)
        own = variables["energy"]
        x, params, features, negatives = batch.x, own["params"], own["features"], own["negatives"]["x"]
        if len(negatives) != num_negatives:
            raise ValueError(
                f"num_negatives must be {len(negatives)}, as in the state that goes on, got {num_negatives}"
            )
        stage = step // steps_per_stage
        slot, goes_on, turn = jnp.minimum(stage, model.features - 1), stage < model.features, step % steps_per_stage
        negatives = jax.lax.cond(
            goes_on & (stage > 0) & (turn == 0),
            lambda: model.swept(own, key, negatives, sweeps),
            lambda: negatives,
        )
        w, c, slope, offset = (params[name][..., slot] for name in ("weights", "bias", "slope", "offset"))
        f_data, f_negatives = (jax.nn.sigmoid(units @ w + c) for units in _vectors(x, negatives, w.dtype))
        on_data, on_negatives = slope * f_data + offset, slope * f_negatives + offset
        value = jnp.mean(jax.nn.softplus(-on_data)) + jnp.mean(jax.nn.softplus(on_negatives))

        found, reached = jax.lax.stop_gradient(((f_data, f_negatives), value))

        def answer() -> dict[str, Array]:
            coefficient, effective = best_coefficient(*found, least_effective=least_effective)
            added = {"weights": w, "bias": c, "coefficient": coefficient, "effective": effective}
            added |= {"gain": gain(coefficient, *found), "loss": reached}
            return {**features, **{name: features[name].at[..., slot].set(new) for name, new in added.items()}}

        last = goes_on & (turn == steps_per_stage - 1)
        features = jax.lax.stop_gradient(jax.lax.cond(last, answer, lambda: dict(features)))
        accuracy = (jnp.mean(on_data > 0) + jnp.mean(on_negatives < 0)) / 2
        moved = {**own, "features": features, "negatives": {"x": negatives}}
        return value, Aux({"accuracy": accuracy, "stage": stage}, {"energy": moved})

    def sample(variables: Players, key: PRNGKey, n: int, *, label: Array | None = None) -> Array:
        check_count("n", n)
        own = variables["energy"]
        x = own["negatives"]["x"][jnp.arange(n) % num_negatives]
        return model.swept(own, key, x, sample_sweeps).astype(jnp.float32).reshape(n, *model.shape)

    return Objective(init, {"energy": loss}, sample, range=model.support)


def _vectors(x: Array, negatives: Array, dtype: jnp.dtype) -> tuple[Array, Array]:
    return x.reshape(len(x), -1).astype(dtype), negatives.astype(dtype)
