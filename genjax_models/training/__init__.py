"""An objective becomes a step, a step becomes a compiled loop."""

from genjax_models.training.loop import batch_rows, first_failure, loop_over_chunk, loop_over_data
from genjax_models.training.trainer import trainer

__all__ = ["batch_rows", "first_failure", "loop_over_chunk", "loop_over_data", "trainer"]
