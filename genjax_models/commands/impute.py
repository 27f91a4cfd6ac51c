"""Fills in missing pixels of data by a finished run.

genjax-models impute runs/multi_prediction --mask half
genjax-models impute runs/multi_prediction --mask observed.npy

Boltzmann machines and latent-variable models can fill in. A deep machine uses the mean field of its training; a
restricted one, Gibbs sweeps with the observed pixels held; a latent-variable model, pseudo-Gibbs sweeps. A conditional
VAE is told the class of each example.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import seed_in_range, whole
from genjax_models.runs.output_files import check_output, write_output
from genjax_models.systems.file_options import FileOptions

if TYPE_CHECKING:
    import numpy as np

    from genjax_models.runs.loading import LoadedRun
    from genjax_models.types import Array, PRNGKey

_COLUMNS = 12  # of the picture
_SAMPLES = 100  # draws or sweeps
_INSIDE = 1e-6  # least probability of a value


@dataclasses.dataclass(frozen=True)
class Impute:
    """Fill in missing pixels of data by a finished run."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    mask: Literal["random", "half", "block"] | Path = "half"
    """Missing pixels: each at random, the lower half, or a rectangle at a random place. Or a .npy or .npz file
    of the observed pixels: bool, in the shape of x, or of one example for all. A .npz file needs the key observed."""
    share: float = 0.5
    """Share of missing pixels, for mask random and block: above 0 and below 1."""
    by: Literal["auto", "mean_field", "gibbs", "importance", "pseudo_gibbs"] = "auto"
    """Method. auto: mean_field for deep Boltzmann machines, gibbs for restricted ones, pseudo_gibbs for models with
    q(z | x). The encoder of importance sees 0 at missing pixels, and of pseudo_gibbs at the start."""
    samples: int | None = None
    """Draws of importance, or sweeps that gibbs and pseudo_gibbs average (after half as many). For mean_field of a
    restricted machine: its sweeps. A deep machine makes the sweeps of its training. Default: 100."""
    data: str | None = None
    """Other data, prepared as in training: all of them, or their test split if they have splits. Default: the data of
    the run."""
    files: FileOptions = FileOptions()
    n: int | None = None
    """Number of examples. Default: all."""
    seed: int = 0
    """Random seed of masks and draws, in [0, 2^32)."""
    checkpoint: Literal["best", "last"] = "best"
    """Checkpoint: best on held-out data, or last."""
    to: Path | None = None
    """A .npz file of x, observed, and filled, which is E[x | observed x] at missing pixels. Default: none."""
    picture: Path | None = None
    """The PNG file. Default: figures/impute_<mask>.png in the run, for images; of a file of masks, the file's stem."""
    overwrite: bool = False
    """Replace the files of --to and --picture if they exist."""

    def __post_init__(self):
        self.files.need_data(self.data)
        if not 0 < self.share < 1:
            raise InputError(
                f"share must be in (0, 1), got {self.share!r}. With 0 nothing is missing, with 1 nothing observed"
            )
        if isinstance(self.mask, Path) and self.mask.suffix.lower() not in (".npy", ".npz"):
            raise InputError(f"mask must be random, half, block, or a .npy or .npz file, got {self.mask}")
        whole(1, **{name: count for name in ("samples", "n") if (count := getattr(self, name)) is not None})
        seed_in_range(self.seed)
        check_output(self.to, ".npz", overwrite=self.overwrite)
        check_output(self.picture, ".png", "--picture", overwrite=self.overwrite)


class Imputed(NamedTuple):
    """What `impute` did.

    Attributes:
      by: the method that filled in pixels.
      picture: its path, if there is one.
      nats: -log p per missing pixel of binary data.
      n: number of examples.
      effective: median effective sample size of importance sampling.
    """

    by: str
    picture: Path | None
    nats: float | None
    n: int
    effective: float | None


def impute(options: Impute) -> Imputed:
    """Writes the picture and the `.npz`.

    Raises:
      InputError: no run is there, its model cannot fill in by this method, or a file cannot be written.
    """
    import jax
    import numpy as np

    from genjax_models.commands.encoders import data_of
    from genjax_models.figures import energy_pictures, pictures
    from genjax_models.runs.loading import load_run

    stored = read_mask(options.mask) if isinstance(options.mask, Path) else None
    run = load_run(options.run, options.checkpoint)
    by, conditional = conditional_of(run, options)
    labels = _told_classes(run)
    data, _ = data_of(run, options.data, options.files, labels=labels)
    test, n = data.test, options.n
    if n is not None and n > len(test.x):
        raise InputError(f"n must be at most {len(test.x)}, the number of examples, got {n}")
    x, (mask_key, key) = test.x[:n], jax.random.split(jax.random.key(options.seed))
    drawable, binary = pictures.drawable(run.config.data.shape), bool(np.isin(x, (0, 1)).all())
    if not (options.to or drawable or binary):
        raise InputError(f"{options.run}: examples of shape {x.shape[1:]} have no picture. Name a .npz file by --to")
    observed = _observed(options, stored, mask_key, x)
    label = None if test.label is None else test.label[:n]
    filled, effective = _filled(run, conditional, key, (x, observed, label if labels else None))
    x = np.asarray(x)
    if options.to:
        buffer = io.BytesIO()
        arrays = {"x": x, "observed": observed, "filled": filled} | ({} if label is None else {"y": np.asarray(label)})
        np.savez(buffer, allow_pickle=False, **arrays)
        write_output(options.to, buffer.getvalue())
    picture = None
    if drawable:
        name = options.mask if isinstance(options.mask, str) else options.mask.stem
        picture = options.picture or options.run / "figures" / f"impute_{name}.png"
        few = {name: observed[:_COLUMNS]}, {name: filled[:_COLUMNS]}
        write_output(picture, energy_pictures.imputations(x[:_COLUMNS], *few, run.system.range).png)
    nats = None
    if binary:
        p = np.clip(np.where(x > 0.5, filled, 1 - filled)[~observed], _INSIDE, 1)
        nats = float(-np.mean(np.log(p)))
    return Imputed(by, picture, nats, len(x), effective)


def _filled(
    run: LoadedRun, conditional: Callable, key: PRNGKey, examples: tuple[Array, np.ndarray, Array | None]
) -> tuple[np.ndarray, float | None]:
    """Returns x with its missing values filled in, and the median effective sample size of importance sampling."""
    import jax
    import numpy as np

    from genjax_models.evaluation.examples import map_examples

    def fill(key, one):
        x, observed, label = jax.tree.map(lambda a: a[None], one)
        return jax.tree.map(lambda a: a[0], conditional(label)(run.variables, key, x, observed))

    answers = jax.jit(lambda *each: map_examples(fill, key, each, batch_size=100))(*examples)
    if isinstance(answers, tuple):
        return np.asarray(answers[0]), float(np.median(answers[1]))
    return np.asarray(answers), None


def read_mask(path: Path) -> np.ndarray:
    """Returns the mask in a file.

    Raises:
      InputError: there is no such file, or its array is not bool.
    """
    from genjax_models.data.files import read_arrays

    try:
        arrays = read_arrays(path)
    except OSError as error:
        raise InputError(f"--mask {path}: cannot be read ({error.strerror})") from error
    key = "x" if path.suffix.lower() == ".npy" else "observed"
    if key not in arrays:
        raise InputError(f"--mask {path}: needs the key observed, got {sorted(arrays)}")
    if arrays[key].dtype != bool:
        raise InputError(f"--mask {path}: must be bool, true where x is observed, got {arrays[key].dtype}")
    return arrays[key]


def _observed(options: Impute, mask: np.ndarray | None, key: PRNGKey, x: Array) -> np.ndarray:
    """Returns where x is observed, by the mask of a file or a drawn one. Some of x is observed, and some is not."""
    import numpy as np

    from genjax_models.evaluation.missing import Mask, masks

    shape, source = x.shape, f"--mask {options.mask}"
    if options.mask == "block" and x.ndim < 3:
        raise InputError(f"--mask block needs images, got examples of shape {shape[1:]}")
    if options.mask in ("random", "block"):
        source = f"--share {options.share:g}"
    if mask is None:
        mask = np.asarray(masks(key, x, cast(Mask, options.mask), share=options.share))
    if mask.shape not in (shape, shape[1:]):
        raise InputError(f"{source}: must have the shape {shape}, or {shape[1:]} for all, got {mask.shape}")
    if mask.all() or not mask.any():
        what = "missing from" if mask.all() else "observed of"
        raise InputError(f"{source}: nothing is {what} examples of shape {shape[1:]}")
    return np.broadcast_to(mask, shape)


def conditional_of(run: LoadedRun, options: Impute) -> tuple[str, Callable[[Array | None], Callable]]:
    """Returns the method in use, and its conditional for classes `[batch]`, None of a model that is not told them.

    The conditional of importance sampling also returns the effective sample size, `[batch]`.

    Raises:
      InputError: the model cannot fill in, or not by this method.
    """
    from genjax_models.models import LatentVariableModel, conditionals
    from genjax_models.models.boltzmann import BoltzmannMachine
    from genjax_models.runs.loading import condition_of_run

    model: Any = run.model
    samples = options.samples or _SAMPLES
    averaged = {"sweeps": samples, "burn_in": samples // 2}
    if isinstance(model, BoltzmannMachine):
        deep = len(model.hidden) > 1
        sweeps = run.config.sweeps if deep else samples
        methods = {
            "mean_field": lambda _: conditionals.mean_field(model, sweeps=sweeps),
            "gibbs": lambda _: conditionals.clamped_gibbs(model, **averaged),
        }
        default = "mean_field" if deep else "gibbs"
    elif isinstance(model, LatentVariableModel) and model.has_mean and condition_of_run(run) is None:
        given = lambda label: model if label is None else model.given(label)
        methods = {
            "importance": lambda label: partial(conditionals.importance_estimate, given(label), num_samples=samples),
            "pseudo_gibbs": lambda label: conditionals.pseudo_gibbs(given(label), **averaged),
        }
        default = "pseudo_gibbs"
    else:
        raise InputError(
            f"{options.run}: impute needs a Boltzmann machine, or a model with q(z | x) and E[x | z], such as a run of"
            " experiments.multi_prediction, rbm or vae. A condition may be a class, not a function of x"
        )
    by = default if options.by == "auto" else options.by
    if by not in methods:
        raise InputError(f"{options.run}: --by must be auto or one of {', '.join(methods)} for this model, got {by}")
    if by == default == "mean_field" and options.samples:
        raise InputError(
            f"{options.run}: --samples is not read by mean_field of a deep machine, which has"
            f" the {run.config.sweeps} sweeps of its training"
        )
    return by, methods[by]


def _told_classes(run: LoadedRun) -> bool:
    """Returns whether the model needs the classes: a deep Boltzmann machine infers them."""
    from genjax_models.models import LatentVariableModel

    return isinstance(run.model, LatentVariableModel) and run.config.data.classes is not None


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models impute") -> int:
    """Runs the command; returns the exit status."""
    with exit_on_error():
        options = parse(Impute, arguments, program, Impute.__doc__)
        result = impute(options)
        nats = "" if result.nats is None else f": {result.nats:.4f} nats per missing pixel"
        print(f"{result.n:,} examples, mask {options.mask}, by {result.by}{nats}")
        if result.effective is not None:
            print(f"{result.effective:.1f} effective samples of {options.samples or _SAMPLES} in the median")
        for path in filter(None, (result.picture, options.to)):
            print(path)
    return 0
