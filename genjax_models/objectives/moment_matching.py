"""A generator learned by explicit moments alone, Eq. (20.82): what they are blind to, it does not learn."""

from collections.abc import Sequence

from genjax_models.estimators.moments import moment_difference
from genjax_models.models.implicit import ImplicitModel
from genjax_models.objectives.matching import matching
from genjax_models.types import Objective


def moment_matching(
    model: ImplicitModel,
    *,
    order: int = 2,
    central: bool = False,
    weights: Sequence[float] | None = None,
    axis: str | None = None,
) -> Objective:
    """One player, "generator", that lowers sum_j weights_j |M_j(batch) - M_j(samples)|^2, with as many samples.

    Every distribution with the data's moments up to `order` is as good as the data: a standard normal for a coin of
    +-1, by the first three. Moment j of d numbers is d^j of them: those above the second are for few dimensions.

    Args:
      model: not conditional.
      order: of the last moment.
      central: whether moments from the second on are about each sample's own mean.
      weights: one for each moment; ones by default.
      axis: the mapped axis, under `jax.pmap`; see `objectives.matching`.

    Returns:
      An `Objective` that reports its loss alone.

    Raises:
      ValueError: a conditional model; from the loss, while tracing, an order that is no integer of at least 1, or other
        than `order` weights.
    """

    def difference(x, samples):
        return moment_difference(x, samples, order, central=central, weights=weights), {}

    return matching(model, difference, axis=axis)
