"""The finite mixture, learned by maximum likelihood: log p(x) of Eq. (1.5) is a sum, computed exactly."""

from genjax_models.models.density import DensityModel
from genjax_models.objectives.density import maximum_likelihood
from genjax_models.types import Objective


def mixture(model: DensityModel) -> Objective:
    """Returns an objective with one player, "mixture", that raises log p(x), mean over the batch.

    There are many maxima: components are interchangeable, and some starts leave components unused. With full batches,
    EM reaches the same maxima.

    Returns:
      An `Objective` that reports "log_likelihood" (nats). `sample` draws from p(x).
    """
    return maximum_likelihood(model, player="mixture")
