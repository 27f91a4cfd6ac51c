"""Exports a finished run as files that need no genjax_models: parameters as safetensors, functions as StableHLO.

genjax-models export runs/vae16

parameters.safetensors      all variables of all players, by names such as "vae/params/encoder/mean/kernel". The
                            metadata hold the experiment, its config (JSON), the step and the version of genjax_models
sampler.stablehlo           (seed uint32 [], index uint32 [n]) -> draws from p(x) [n, *shape]
generator.stablehlo         (z [n, latent]) -> E[x | z] [n, *shape], or g(z) if the model has no p(x | z);
                            z is [n, steps, latent] of a model that unfolds, such as DRAW. There is no such file if
                            p(x | z) can only be drawn from
encoder.stablehlo           (x [n, *shape]) -> mean and scale of q(z | x), both [n, latent]. If the covariance is full:
                            mean and Cholesky factor [n, latent, latent]. For an autoencoder: z = f(x) [n, latent]
encoder_sampler.stablehlo   replaces encoder.stablehlo if q is a flow, unfolds or has several stochastic layers: (seed
                            uint32 [], index uint32 [n], x [n, *shape]) -> draws from q(z | x) [n, latent], one array
                            per layer

A generator of several stochastic layers takes one array per layer, z_1 first. Functions of a conditional model take the
classes last, int32 [n], or the conditions, float32 [n, ...], such as grey pictures. Every run has parameters; a run has
the other files if its model has these parts.

The files need only jax and flatbuffers, run on CPU, CUDA or TPU, and take any batch size n:

    exported = jax.export.deserialize(Path("sampler.stablehlo").read_bytes())
    images = exported.call(np.uint32(0), np.arange(16, dtype=np.uint32))

Seed and index determine a draw. The same pair gives the same draw in every batch and on every worker. To continue a
request, go on with the next indices: 16, 17, ... In this package the draw is
`objective.sample(players, fold_in(key(seed), index), 1)`.
Pictures in reports show E[x | z] and not a draw of x: the generator at z ~ N(0, I), or at the encoder's mean. Each
function contains its parameters; the safetensors file is for a user who builds the networks again. jax reads exported
functions for at least six months of its releases. The run itself stays readable, so that it can be exported again.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.output_files import write_output
from genjax_models.runs.versions import version_of

if TYPE_CHECKING:
    from genjax_models.models import GeneratorModel, LatentVariableModel
    from genjax_models.runs.loading import LoadedRun
    from genjax_models.types import Players, Shape, Variables

PLATFORMS = ("cpu", "cuda", "tpu")
ExportedFunction = tuple[Callable, tuple]  # a pure function, and (dtype, *shape) of each argument
_PACKAGES = ("safetensors", "flatbuffers")


@dataclasses.dataclass(frozen=True)
class Export:
    """Write a finished run's parameters as safetensors and its functions as StableHLO."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    to: Path | None = None
    """Directory of the files. Default: export/ in the run."""
    checkpoint: Literal["best", "last"] = "best"
    """Checkpoint: best on held-out data, or last."""
    overwrite: bool = False
    """Replace files in that directory."""


def export(options: Export) -> list[Path]:
    """Writes the files, and returns their paths.

    Raises:
      InputError: a package is missing, no run is there, or the directory cannot be used.
    """
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise InputError(f"export needs {' and '.join(missing)}; pip install 'genjax_models[export]'")
    out = options.run / "export" if options.to is None else options.to
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputError(f"--to {out}: is a {'symbolic link' if out.is_symlink() else 'file'}; name a directory")
    if out.is_dir() and any(out.iterdir()) and not options.overwrite:
        raise InputError(f"--to {out}: exists already; name another, or replace its files with --overwrite")
    from genjax_models.runs.loading import load_run

    run = load_run(options.run, options.checkpoint)
    metadata = {
        "experiment": run.experiment.module,
        "config": dataclasses.asdict(run.config),
        "step": int(run.state.step),
    }
    metadata["genjax_models"] = version_of("genjax_models") or "unknown"
    files = {"parameters.safetensors": parameters(run.players, metadata)}
    for name, (function, arguments) in exported_functions(run).items():
        files[f"{name}.stablehlo"] = stablehlo(function, arguments)
    for name, content in files.items():
        write_output(out / name, content)
    return [out / name for name in files]


def parameters(players: Players, metadata: Mapping[str, Any]) -> bytes:
    """Returns a safetensors file of all variables, by path. Metadata that are no text become JSON."""
    import jax
    import numpy as np
    from safetensors.numpy import save

    leaves, _ = jax.tree.flatten_with_path(players)
    # safetensors writes the buffer in memory order and ignores strides.
    arrays = {"/".join(str(entry.key) for entry in path): np.array(leaf, order="C") for path, leaf in leaves}
    return save(
        arrays, {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}
    )


def exported_functions(run: LoadedRun) -> dict[str, ExportedFunction]:
    """Returns name -> (pure function, (dtype, *shape) of each argument); "n" is the batch size.

    Functions of a conditional model take the labels or conditions last.
    """
    import jax

    from genjax_models.models import AutoencoderModel, GeneratorModel, ImplicitModel, LatentVariableModel
    from genjax_models.runs.loading import condition_of_run

    condition = condition_of_run(run)
    if condition is not None:
        labels: tuple = (("float32", "n", *condition.shape),)
    else:
        labels = () if run.config.data.classes is None else (("int32", "n"),)

    def sampler(seed, index, *label):
        def draw(i, *label):
            key = jax.random.fold_in(jax.random.key(seed), i)
            return run.objective.sample(run.players, key, 1, label=label[0][None] if label else None)[0]

        return jax.vmap(draw)(index, *label)

    exported: dict[str, ExportedFunction] = {}
    if run.system.samples:
        exported["sampler"] = sampler, (("uint32",), ("uint32", "n"), *labels)
    model, shape = run.model, run.config.data.shape
    if isinstance(model, AutoencoderModel | ImplicitModel):
        exported["generator"] = (partial(model.generate, run.variables), (("float32", "n", model.latent), *labels))
    if isinstance(model, AutoencoderModel):
        exported["encoder"] = (partial(model.encode, run.variables), (("float32", "n", *shape),))
    if isinstance(model, GeneratorModel | LatentVariableModel) and model.has_mean:
        exported["generator"] = _generator(model, run.variables, labels)
    if isinstance(model, LatentVariableModel):
        exported |= _encoder(model, run.variables, shape, labels)
    return exported


def _generator(model: GeneratorModel | LatentVariableModel, variables: Variables, labels: tuple) -> ExportedFunction:
    """Returns E[x | z], with one argument per stochastic layer."""
    import numpy as np

    example = [np.zeros((1, *shape), dtype) for dtype, _, *shape in labels]
    event = model.prior(variables, *example).event_shape
    layers = event if isinstance(event[0], tuple) else (event,)

    def generator(*arguments):
        z, label = arguments[: len(layers)], arguments[len(layers) :]
        return model.generate(variables, z if len(layers) > 1 else z[0], *label)

    return generator, (*(("float32", "n", *shape) for shape in layers), *labels)


def _encoder(
    model: LatentVariableModel, variables: Variables, shape: Shape, labels: tuple
) -> dict[str, ExportedFunction]:
    """Returns the parameters of q(z | x) as "encoder", or draws from it as "encoder_sampler" if it is no Gaussian."""
    import jax
    import numpy as np

    def encoder(x, *label):
        q = model.posterior(variables, x, *label)
        return q.mean(), q.factor if hasattr(q, "factor") else q.stddev()

    def encoder_sampler(seed, index, x, *label):
        def draw(i, *example):
            q = model.posterior(variables, *(a[None] for a in example))
            z = q.sample(seed=jax.random.fold_in(jax.random.key(seed), i))
            return jax.tree.map(lambda a: a[0], z)

        return jax.vmap(draw)(index, x, *label)

    x = ("float32", "n", *shape)
    example = [np.zeros((1, *size), dtype) for dtype, _, *size in (x, *labels)]
    try:
        jax.eval_shape(encoder, *example)
    except NotImplementedError:  # distrax has no closed form of the mean
        return {"encoder_sampler": (encoder_sampler, (("uint32",), ("uint32", "n"), x, *labels))}
    return {"encoder": (encoder, (x, *labels))}


def stablehlo(function: Callable, arguments: Sequence[tuple]) -> bytes:
    """Returns the function, with the arrays that it closes over, serialised by `jax.export` for all `PLATFORMS`."""
    import jax
    from jax import export

    (n,) = export.symbolic_shape("n")
    shapes = [
        jax.ShapeDtypeStruct(tuple(n if size == "n" else size for size in shape), dtype) for dtype, *shape in arguments
    ]
    return bytes(export.export(jax.jit(function), platforms=PLATFORMS)(*shapes).serialize())


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models export") -> int:
    """Runs the command; returns the exit status."""
    with exit_on_error():
        print(*export(parse(Export, arguments, program, Export.__doc__)), sep="\n")
    return 0
