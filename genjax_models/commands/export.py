"""A finished run as files that outlive this package: parameters as safetensors, functions as StableHLO.

python -m genjax_models.commands.export runs/vae16

parameters.safetensors   every variable of every player, by names such as "vae/params/encoder/mean/kernel"; its metadata
                         say experiment, config (JSON), step and the package's version
sampler.stablehlo        (seed uint32 [], index uint32 [n]) -> draws from p(x) [n, *shape]
generator.stablehlo      (z [n, latent]) -> E[x | z] [n, *shape], or g(z) where there is no p(x | z)
encoder.stablehlo        (x [n, *shape]) -> mean and scale of q(z | x), both [n, latent], or mean and Cholesky factor
                         [n, latent, latent] where the covariance is full; an autoencoder's z = f(x) [n, latent]
encoder_sampler.stablehlo   in place of that, where q is a flow or a chain of layers: (seed uint32 [], index uint32 [n],
                         x [n, *shape]) -> draws from q(z | x) [n, latent], one array for each stochastic layer

A generator of several stochastic layers takes an array for each, z_1 first. What is of a conditional model takes the
classes last, int32 [n].

Whoever deploys needs jax and flatbuffers alone, on CPU, CUDA or TPU, and may choose any batch size n:

    exported = jax.export.deserialize(Path("sampler.stablehlo").read_bytes())
    images = exported.call(np.uint32(0), np.arange(16, dtype=np.uint32))

A draw is settled by its seed and its index, as evaluation's are: it is the same in every batch and on every worker, and
`index` 16, 17, ... goes on where the last request ended. In this package it is
`objective.sample(players, fold_in(key(seed), index), 1)`.
What pictures show is not a draw of x but E[x | z]: the generator at z ~ N(0, I), or at the encoder's mean. The
parameters are inside each function; safetensors are for those who build the networks again. jax reads such functions
for at least six months of its releases: export again from the run, which stays readable, for longer.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from genjax_models.commands.sample import of_run
from experiments.trained import of_model
from genjax_models.errors import InputError
from genjax_models.runs.command_line import Experiment, exit_on_error, parse

if TYPE_CHECKING:
    from genjax_models.models import LatentVariableModel
    from genjax_models.types import Players, Variables

PLATFORMS = ("cpu", "cuda", "tpu")
_NEEDED = ("safetensors", "flatbuffers")


@dataclasses.dataclass(frozen=True)
class Export:
    """Write a finished run's parameters as safetensors and its functions as StableHLO."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    out: Path | None = None
    """Directory of the files; by default export/ in the run."""
    checkpoint: Literal["best", "last"] = "best"
    """Best on held-out data, or last."""
    overwrite: bool = False
    """Replace files that are there."""


def export(options: Export) -> list[Path]:
    """Writes the files.

    Returns:
      Their paths.
    """
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise InputError(f"export needs {' and '.join(missing)}; pip install 'genjax_models[export]'")
    experiment = of_run(options.run)
    out = options.run / "export" if options.out is None else options.out
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputError(f"--out {out}: is a {'symbolic link' if out.is_symlink() else 'file'}; a directory is wanted")
    if out.is_dir() and any(out.iterdir()) and not options.overwrite:
        raise InputError(f"--out {out}: exists already; choose another, or replace its files with --overwrite")
    from genjax_models.runs.experiment import restore
    from genjax_models.runs.fit import players_for_sampling

    config, state = restore(experiment, options.run, options.checkpoint)
    players = players_for_sampling(state)
    about = {"experiment": experiment.name, "config": dataclasses.asdict(config), "step": int(state.step)}
    about["genjax_models"] = importlib.metadata.version("genjax_models")
    files = {"parameters.safetensors": parameters(players, about)}
    for name, (function, arguments) in functions(experiment, config, players).items():
        files[f"{name}.stablehlo"] = stablehlo(function, arguments)
    return [_write(out / name, content) for name, content in files.items()]


def parameters(players: Players, about: Mapping[str, Any]) -> bytes:
    """A safetensors file of all variables, by path; `about` becomes its metadata, JSON where it is no string."""
    import jax
    import numpy as np
    from safetensors.numpy import save

    leaves, _ = jax.tree.flatten_with_path(players)
    # safetensors writes the buffer as it lies in memory, whatever its strides say.
    arrays = {"/".join(str(entry.key) for entry in path): np.array(leaf, order="C") for path, leaf in leaves}
    metadata = {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()}
    return save(arrays, metadata)


def functions(experiment: Experiment, config: Any, players: Players) -> dict[str, tuple[Callable, tuple]]:
    """What a run can be asked for: name -> (pure function, (dtype, *shape) of each argument, "n" being the batch).

    Every objective has a sampler; an experiment that names a model has that model's generator and encoder. What is of a
    conditional model takes the labels last.
    """
    import jax

    objective = experiment.build(config)
    labels = () if getattr(config, "classes", None) is None else (("int32", "n"),)

    def sampler(seed, index, *label):
        def draw(i, *label):
            key = jax.random.fold_in(jax.random.key(seed), i)
            return objective.sample(players, key, 1, label=label[0][None] if label else None)[0]

        return jax.vmap(draw)(index, *label)

    found = {"sampler": (sampler, (("uint32",), ("uint32", "n"), *labels))}
    if experiment.model:
        model, variables = experiment.model(config), of_model(players)
        if hasattr(model, "latent"):
            found["generator"] = (partial(model.generate, variables), (("float32", "n", model.latent), *labels))
            if hasattr(model, "encode"):
                found["encoder"] = (partial(model.encode, variables), (("float32", "n", *config.shape),))
        else:
            found |= _of_model(model, variables, config, labels)
    return found


def _of_model(model: LatentVariableModel, variables: Variables, config: Any, labels: tuple) -> dict:
    """The generator, and the encoder as parameters of q(z | x) or, where it is no Gaussian, as draws from it."""
    import jax
    import numpy as np

    some = [np.zeros(1, np.int32)] if labels else []
    sizes = jax.tree.leaves(model.prior(variables, *some).event_shape)
    several = len(sizes) > 1

    def generator(*arguments):
        z, label = arguments[: len(sizes)], arguments[len(sizes) :]
        return model.generate(variables, z if several else z[0], *label)

    def encoder(x, *label):
        q = model.posterior(variables, x, *label)
        return q.mean(), q.factor if hasattr(q, "factor") else q.stddev()

    def encoder_sampler(seed, index, x, *label):
        def draw(i, *example):
            q = model.posterior(variables, *(a[None] for a in example))
            z = q.sample(seed=jax.random.fold_in(jax.random.key(seed), i))
            return jax.tree.map(lambda a: a[0], z)

        return jax.vmap(draw)(index, x, *label)

    data = ("float32", "n", *config.shape)
    found = {"generator": (generator, (*(("float32", "n", size) for size in sizes), *labels))}
    try:
        jax.eval_shape(encoder, np.zeros((1, *config.shape), np.float32), *some)
    except NotImplementedError:  # distrax's word for a mean without a closed form
        return found | {"encoder_sampler": (encoder_sampler, (("uint32",), ("uint32", "n"), data, *labels))}
    return found | {"encoder": (encoder, (data, *labels))}


def stablehlo(function: Callable, arguments: Sequence[tuple]) -> bytes:
    """`function` as `jax.export` serialises it, for all of `PLATFORMS`, with what it closes over inside."""
    import jax
    from jax import export

    (n,) = export.symbolic_shape("n")
    shapes = [
        jax.ShapeDtypeStruct(tuple(n if size == "n" else size for size in shape), dtype) for dtype, *shape in arguments
    ]
    return bytes(export.export(jax.jit(function), platforms=PLATFORMS)(*shapes).serialize())


def _write(path: Path, content: bytes) -> Path:
    """The file, whole or not at all."""
    beside = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        print(*export(parse(Export, arguments, "python -m genjax_models.commands.export", Export.__doc__)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
