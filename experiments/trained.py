"""What a finished run of `experiments.vae` or `experiments.iwae` is made of: for commands that look at one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genjax_models.commands.sample import of_run
from genjax_models.errors import InputError

if TYPE_CHECKING:
    from genjax_models.data import Prepared
    from genjax_models.models import LatentVariableModel
    from genjax_models.types import Array, Batch, Players, Variables


class Trained(NamedTuple):
    """A latent-variable model with its one player's variables, and the data as it was given them."""

    config: Any
    model: LatentVariableModel
    variables: Variables
    data: Prepared

    def label(self, batch: Batch) -> Array | None:
        """The labels of `batch`, where the model is conditional on them."""
        return batch.label if getattr(self.config, "classes", None) else None


def trained(run: Path, checkpoint: str = "best") -> Trained:
    """The model of a run, from its best or its last checkpoint.

    Raises:
      InputError: no run there, or one of an experiment without a posterior.
      CheckpointError: a damaged checkpoint, or none.
    """
    from genjax_models.models import LatentVariableModel
    from genjax_models.runs import experiment
    from genjax_models.runs.fit import players_for_sampling

    module = of_run(run)
    config, state = experiment.restore(module, run, checkpoint)
    model = module.model(config) if module.model else None
    if not isinstance(model, LatentVariableModel):
        raise InputError(f"{run}: a run of {module.name} has no posterior; accepted are those of vae and iwae")
    variables = of_model(players_for_sampling(state))
    config, loaded = module.dataset(config)
    return Trained(config, model, variables, module.prepare(config, loaded))


def of_model(players: Players) -> Variables:
    """The variables of an experiment's model: those of the generator in a game, or of the only player."""
    if "generator" in players:
        return players["generator"]
    (variables,) = players.values()
    return variables
