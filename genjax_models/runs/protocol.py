"""The types that an experiment fills in. Imports no jax, so that --help is quick."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from genjax_models.data import Dataset, Prepared
    from genjax_models.data.prepare import Binarisation
    from genjax_models.data.values import Range
    from genjax_models.types import Objective, Trainer


class System(NamedTuple):
    """The functions that a config determines. Every function except `figures` is pure and may be jitted.

    objective: players, losses and `sample`.
    trainer: turns the objective into `init` and `step`.
    prepare(dataset) -> Prepared: scales and binarises.
    evaluate(players, key, batch) -> held-out metrics by name, `[n]` per example or scalars.
    draw(players, key, n, label=None) -> `[n, *shape]`: content of the pictures of samples.
    figures(players, prepared) -> (Facts, list of Picture): facts for the findings, and pictures for the report.
    test_metrics(players, key, batch) -> metrics as in `evaluate`, computed on the test split only, for their cost.
    model: the model that `export`, `encode` and the commands on latents take; None if there is none.
    range: lowest and highest value of `draw`, for pictures.
    likelihood: family of p(x | z), for the report; None if the model has none.
    binarise: how `prepare` makes values binary, for the report.
    density_range(dataset) -> range to which `prepare` scales values that have a density; None for probabilities.
    reconstruct(players, batch) -> reconstructions of `batch.x`, by an encoder that `model` does not have; or None.
    state_figures(state, prepared) -> list of Picture: further pictures, of players beside their averages; or None.
    samples: whether `draw` draws from p(x). Commands that need draws refuse a run without.
    slow_draw: whether `draw` takes as long as many steps. Samples of learning are then of evaluations only.

    The players come from `runs.evaluation.players_for_sampling`: moving averages replace players that keep one.
    """

    objective: Objective
    trainer: Trainer
    prepare: Callable[[Dataset], Prepared]
    evaluate: Callable
    draw: Callable
    figures: Callable
    test_metrics: Callable | None = None
    model: Any = None
    range: tuple[float, float] = (0, 1)
    likelihood: str | None = None
    binarise: Binarisation = "none"
    density_range: Callable[[Dataset], Range | None] = lambda dataset: None
    reconstruct: Callable | None = None
    slow_draw: bool = False
    state_figures: Callable | None = None
    samples: bool = True


_BINARISATIONS = {
    "none": "none, values do not become binary",
    "dynamic": "dynamic, drawn anew at every step with the value as probability",
    "fixed": "fixed, drawn once with the value as probability",
    "threshold": "threshold, 1 from one half on",
}


def likelihood_in_words(system: System, dataset: Dataset) -> list[tuple[str, str]]:
    """Returns rows of name and text: the likelihood, how values become binary, and units of nats if they are scaled."""
    from genjax_models.data.description import units_of_density

    units = units_of_density(dataset, system.density_range(dataset))
    return [
        ("likelihood", system.likelihood or "none, the model has no p(x | z)"),
        ("binarise", _BINARISATIONS[system.binarise]),
        *([("units", units)] if units else []),
    ]


class Metric(NamedTuple):
    """The held-out metric that selects the best checkpoint: its name in `System.evaluate`, and its unit."""

    name: str
    unit: str = ""
    higher_is_better: bool = False


class Experiment(NamedTuple):
    """The content of an experiment's file: a class of configs, and the function that builds a `System` from a config.

    title: heading of the report.
    config: subclass of `systems.groups.Settings`.
    build(config) -> System: `config.data` knows the shape of the data. Raises InputError if the config does not fit.
    metric: selects the best checkpoint.
    caption: content of the pictures of samples.
    presets: `--preset NAME` replaces the defaults of these fields, given by their dotted names.
    """

    title: str
    config: type
    build: Callable[[Any], System]
    metric: Metric
    caption: str
    presets: Mapping[str, Mapping[str, Any]] = MappingProxyType({})

    @property
    def module(self) -> str:
        """Dotted name of the module that holds this experiment; runs store it."""
        name = self.config.__module__
        if name != "__main__":
            return name
        main = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        return spec.name if spec else Path(getattr(main, "__file__", "__main__")).stem

    @property
    def name(self) -> str:
        """Last part of the dotted name; names of run directories begin with it."""
        return self.module.rpartition(".")[2]

    @property
    def program(self) -> str:
        """The command that starts this experiment."""
        name = self.module
        return f"python -m {name}" if re.fullmatch(r"[\w.]+", name) else f"python {name}"
