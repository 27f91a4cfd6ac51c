"""Checks of what several members and several devices can share."""

from jax.sharding import Mesh

from genjax_models.data.records import Records
from genjax_models.data.splits import Split
from genjax_models.errors import InputError
from genjax_models.training.parallel import check_divides
from genjax_models.types import Batch


def check_streamed(train: Batch | Split, members: int) -> None:
    """Refuses several members if the data are streamed, because each would read batches of its own.

    Raises:
      InputError: there are several members.
    """
    if members > 1 and isinstance(train.x, Records):
        raise InputError(
            f"streamed data need one run at a time, got {members}: leave out --stream, or --seeds and --sweep"
        )


def check_shares(members: int, batch_size: int, mesh: Mesh | None) -> None:
    """Refuses members, or the batch of an only member, that the devices of `mesh` cannot share evenly.

    Raises:
      InputError: the number of devices divides neither; names sizes that fit.
    """
    if mesh is None:
        return
    if members > 1 and members % mesh.size:
        raise InputError(f"members must be a multiple of {mesh.size}, the devices that share them, got {members}")
    if members == 1:
        try:
            check_divides(batch_size, mesh.size)
        except ValueError as error:
            raise InputError(f"batch_size: {error}") from None
