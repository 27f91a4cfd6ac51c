"""The model with an exact log-density and no latent variable that must be integrated out."""

from collections.abc import Callable
from typing import NamedTuple

import distrax

from genjax_models.estimators.checks import check_count
from genjax_models.types import Array, Batch, PRNGKey, Shape, Variables


class DensityModel(NamedTuple):
    """Pure functions of the model's variables: `distribution(variables)` is p(x), with an exact log_prob.

    Attributes:
      init: (key, batch) -> variables.
      distribution: variables -> p(x), a distribution over arrays of `shape`, of batch shape `()`.
      learning: (variables, key) -> p(x) in learning mode (`models.learning`). None if no network has dropout: the model
        then learns by `distribution`. Density models have no batch statistics: p(x) is of one example.
      support: lowest and highest value of x; None if unbounded.
      shape: shape of one example, for checks; None if unknown.
    """

    init: Callable[[PRNGKey, Batch], Variables]
    distribution: Callable[[Variables], distrax.Distribution]
    learning: Callable[[Variables, PRNGKey], distrax.Distribution] | None = None
    support: tuple[float, float] | None = None
    shape: Shape | None = None

    def sample(self, variables: Variables, key: PRNGKey, n: int) -> Array:
        """Returns n draws, `[n, *shape]`.

        Raises:
          ValueError: `n` is no integer of at least 1.
        """
        check_count("n", n)
        return self.distribution(variables).sample(seed=key, sample_shape=n)
