"""Finite mixtures p(x) = sum_m pi_m p_m(x): of Gaussians, Eq. (1.5) of the Torralba-Isola-Freeman draft, or any models.

Mixtures are meta-models: a component may be any family or any model with a density, a mixture included.
"""

import math
from collections.abc import Sequence

import distrax
import jax
import jax.numpy as jnp

from genjax_models.estimators.distributions import FullCovarianceNormal, Shaped
from genjax_models.estimators.mixture import Mixture
from genjax_models.models.density import DensityModel
from genjax_models.models.families import Family
from genjax_models.types import Array, Batch, PRNGKey, Shape, Variables


def gaussian_mixture(
    shape: Shape,
    num_components: int,
    *,
    start: Array | None = None,
    scale: float = 1.0,
    smallest_scale: float = 1e-2,
) -> DensityModel:
    """Returns a mixture whose components have weights, means and full covariances Sigma_m = L_m L_m' of d numbers of x.

    The likelihood of a mixture has no maximum: a component on one data point gains without end as it shrinks (Bishop,
    2006, section 9.2.1). Here the diagonal of L_m, lower triangular, is softplus(raw) + `smallest_scale`. So |L_m| is
    at least smallest_scale^d, and no density exceeds (sqrt(2 pi) smallest_scale)^-d. Choose it well below the scale of
    structures in the data, and well above the distance between neighbours.

    Args:
      shape: shape of one example.
      num_components: M.
      start: initial means, `[M, *shape]`: data points, say. None draws them from N(0, scale^2 I).
      scale: initial standard deviation of every component.
      smallest_scale: in the units of x, below `scale`.

    Returns:
      A model whose params are "logits" `[M]`, "mean" `[M, d]` and "raw_factor" `[M, d, d]`.

    Raises:
      ValueError: M is no integer of at least 1, the scales are not 0 < smallest_scale < scale < inf, or `start` has
        another shape.
    """
    size = math.prod(shape)
    if isinstance(num_components, bool) or not isinstance(num_components, int) or num_components < 1:
        raise ValueError(f"num_components must be an integer of at least 1, got {num_components!r}")
    if not 0 < smallest_scale < scale < math.inf:
        raise ValueError(f"scales must be 0 < smallest_scale < scale < inf, got {smallest_scale!r} and {scale!r}")
    if start is not None and jnp.shape(start) != (num_components, *shape):
        raise ValueError(f"start must have the shape {(num_components, *shape)}, got {jnp.shape(start)}")

    def init(key: PRNGKey, batch: Batch) -> Variables:
        if start is None:
            mean = scale * jax.random.normal(key, (num_components, size), jnp.float32)
        else:
            mean = jnp.asarray(start, jnp.float32).reshape(num_components, size)
        raw = math.log(math.expm1(scale - smallest_scale))  # softplus(raw) + smallest_scale = scale
        raw_factor = jnp.tile(raw * jnp.eye(size, dtype=jnp.float32), (num_components, 1, 1))
        return {"params": {"logits": jnp.zeros(num_components, jnp.float32), "mean": mean, "raw_factor": raw_factor}}

    def distribution(variables: Variables) -> distrax.Distribution:
        p = variables["params"]
        diagonal = jax.nn.softplus(p["raw_factor"]) + smallest_scale
        factor = jnp.where(jnp.eye(size, dtype=bool)[None], diagonal, p["raw_factor"])  # the upper part is ignored
        components = FullCovarianceNormal(p["mean"], factor)
        return Shaped(distrax.MixtureSameFamily(distrax.Categorical(p["logits"]), components), shape)

    return DensityModel(init, distribution, shape=tuple(shape))


def family_model(family: Family, *, spread: float = 1.0) -> DensityModel:
    """Returns a model without a network: the parameters of the family are learned numbers.

    Args:
      family: family of p(x).
      spread: standard deviation of the initial parameters; above 0, so that the components of a mixture differ.

    Returns:
      A model whose params are the outputs of the family.

    Raises:
      ValueError: `spread` is not positive and finite.
    """
    if isinstance(spread, bool) or not 0 < spread < math.inf:
        raise ValueError(f"`spread` must be positive and finite, got {spread!r}")

    def init(key: PRNGKey, batch: Batch) -> Variables:
        keys = jax.random.split(key, len(family.outputs))
        return {
            "params": {
                name: spread * jax.random.normal(key, output.shape, jnp.float32)
                for key, (name, output) in zip(keys, family.outputs.items(), strict=True)
            }
        }

    distribution = lambda variables: family.distribution(variables["params"])
    return DensityModel(init, distribution, support=family.support, shape=tuple(family.event_shape))


def mixture_model(components: Sequence[DensityModel | Family], *, apart: float = 0.1) -> DensityModel:
    """Returns the mixture sum_m pi_m p_m(x) of any models: MADEs, PixelCNNs, families, mixtures, or some of each.

    A step costs as much as a step of every component, and so do draws. Learn it by `maximum_likelihood` or `mixture`.
    EM has closed steps for few families only. Weights start equal. Components that start far apart compete unequally.
    Others can lose all weight too: of four MADEs two were used after 10,000 steps (`experiments.made`).

    Args:
      components: M models or families over one space. `[made] * 4` gives four components with variables of their own.
      apart: in (0, 1]; a component starts at a + apart (b - a), with its own random start b and the start a of the
        first component of the same model.

    Returns:
      A model whose params are "logits" `[M]` and "component_0" to "component_<M - 1>".

    Raises:
      ValueError: there is no component, one has no density, shapes or supports differ, or `apart` is outside (0, 1].
        While tracing: a component has other variables than "params".
    """
    for component in components:
        if not isinstance(component, DensityModel | Family):
            raise ValueError(f"`components` must be density models or families, got {type(component).__name__}")
    models = tuple(
        component if isinstance(component, DensityModel) else family_model(component) for component in components
    )
    if isinstance(apart, bool) or not 0 < apart <= 1:
        raise ValueError(f"`apart` must be in (0, 1], got {apart!r}")
    if not models:
        raise ValueError("`components` must have at least one model, got none")
    for name in ("shape", "support"):
        values = {value for model in models if (value := getattr(model, name)) is not None}
        if len(values) > 1:
            raise ValueError(f"`components` must have one {name}, got {sorted(values)}")
    names = [f"component_{m}" for m in range(len(models))]
    name_of_first = {  # of the same model
        name: next(other for other, candidate in zip(names, components, strict=True) if candidate is component)
        for name, component in zip(names, components, strict=True)
    }

    def init(key: PRNGKey, batch: Batch) -> Variables:
        params = {"logits": jnp.zeros(len(models), jnp.float32)}
        keys = jax.random.split(key, len(models))
        for name, model, own in zip(names, models, keys, strict=True):
            variables = model.init(own, batch)
            if set(variables) != {"params"}:
                raise ValueError(f"a component of a mixture must have only params, got {sorted(variables)}")
            first = params.get(name_of_first[name], variables["params"])
            params[name] = jax.tree.map(lambda a, b: a + apart * (b - a), first, variables["params"])
        return {"params": params}

    def parts(variables: Variables) -> list[Variables]:
        return [{"params": variables["params"][name]} for name in names]

    def distribution(variables: Variables) -> Mixture:
        each = [model.distribution(part) for model, part in zip(models, parts(variables), strict=True)]
        return Mixture(variables["params"]["logits"], each)

    def learning(variables: Variables, key: PRNGKey) -> Mixture:
        keys = jax.random.split(key, len(models))
        each = [
            model.distribution(part) if model.learning is None else model.learning(part, own)
            for model, part, own in zip(models, parts(variables), keys, strict=True)
        ]
        return Mixture(variables["params"]["logits"], each)

    learns = any(model.learning is not None for model in models)
    shape = next((model.shape for model in models if model.shape is not None), None)
    support = next((model.support for model in models if model.support is not None), None)
    return DensityModel(init, distribution, learning if learns else None, support, shape)
