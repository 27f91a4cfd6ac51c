"""An objective becomes a step; a step becomes a compiled loop."""

from genjax_models.training.in_turn import loop_in_turn
from genjax_models.training.loop import batch_rows, first_failure, loop_over_chunk, loop_over_data
from genjax_models.training.parallel import data_mesh, data_parallel, pmapped
from genjax_models.training.trainer import trainer
from genjax_models.training.vmapped import vmapped

__all__ = [
    "batch_rows",
    "data_mesh",
    "data_parallel",
    "first_failure",
    "loop_in_turn",
    "loop_over_chunk",
    "loop_over_data",
    "pmapped",
    "trainer",
    "vmapped",
]
