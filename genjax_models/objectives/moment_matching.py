"""A generator learned only by explicit moments, Eq. (20.82): it does not learn what the moments do not show."""

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
    """Returns an objective with one player, "generator", that lowers sum_j weights_j |M_j(batch) - M_j(samples)|^2.

    There are as many samples as examples in the batch. Every distribution with the data's moments up to `order` is a
    minimum: for a coin of +-1 and the first three moments, a standard normal. Moment j of d numbers has d^j entries:
    use moments above the second only in few dimensions.

    Args:
      model: a model that is not conditional.
      order: order of the highest moment.
      central: whether moments from the second on are about each sample's own mean.
      weights: one per moment; None is all ones.
      axis: the mapped axis under `jax.pmap`; see `objectives.matching`.

    Returns:
      An `Objective` that reports only its loss.

    Raises:
      ValueError: a conditional model; from the loss, while tracing, an order that is no integer of at least 1, or a
        number of weights other than `order`.
    """

    def difference(x, samples):
        return moment_difference(x, samples, order, central=central, weights=weights), {}

    return matching(model, difference, axis=axis)
