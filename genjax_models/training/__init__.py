"""An objective becomes a step; a step becomes a compiled loop."""

from genjax_models.training.epochs import BatchRows, batch_rows
from genjax_models.training.in_turn import loop_in_turn
from genjax_models.training.loop import first_failure, loop_over_chunk, loop_over_data, loop_over_rows
from genjax_models.training.parallel import data_mesh, data_parallel, pmapped
from genjax_models.training.trainer import trainer
from genjax_models.training.vmapped import vmapped

__all__ = [
    "BatchRows",
    "batch_rows",
    "data_mesh",
    "data_parallel",
    "first_failure",
    "loop_in_turn",
    "loop_over_chunk",
    "loop_over_data",
    "loop_over_rows",
    "pmapped",
    "trainer",
    "vmapped",
]
