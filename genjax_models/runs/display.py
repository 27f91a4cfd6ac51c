"""The progress of a run on standard error: a bar on a terminal and in a notebook, else a line per evaluation."""

import time

from tqdm.auto import tqdm

from genjax_models.data.terminal import redraws
from genjax_models.runs.streams import BestEffortStream


class Bar:
    """A bar with the steps so far, which redraws its line."""

    def __init__(self, steps: int, stream: BestEffortStream, hidden: bool = False):
        options = {"unit": "step", "dynamic_ncols": True, "file": stream, "disable": hidden}
        self._bar = tqdm(total=steps, desc="compiling", **options)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error) -> None:
        self._bar.close()

    def compiled(self, seconds: float, step: int) -> None:
        """Begins the time of training, at `step`."""
        self._bar.set_description(f"compiled in {seconds:.1f} s, training")
        self._bar.reset()
        self._bar.update(step)

    def advanced(self, count: int, newest: str) -> None:
        """Adds `count` steps; `newest` has the newest figures in words."""
        self._bar.update(count)
        self._bar.set_postfix_str(newest)

    def evaluated(self, step: int, newest: str) -> None:
        """Does nothing: the bar shows the figures after the next steps."""


class Lines:
    """A line before compilation, one that says how long it will take, and a line per evaluation, for logs."""

    def __init__(self, steps: int, stream: BestEffortStream):
        self._steps, self._stream = steps, stream
        self._note, self._since = "", (0, time.monotonic())
        self._began, self._step, self._estimated = self._since, 0, False

    def __enter__(self) -> "Lines":
        self._write(f"compiling; then a line per evaluation, up to step {self._steps:,}")
        return self

    def __exit__(self, *error) -> None:
        pass

    def compiled(self, seconds: float, step: int) -> None:
        """Keeps the time of compilation for the next line."""
        self._note, self._since = f", compiled in {seconds:.1f} s", (step, time.monotonic())
        self._began, self._step = self._since, step

    def advanced(self, count: int, newest: str) -> None:
        """Writes the time that is left, once, after ten seconds."""
        self._step += count
        first, started = self._began
        if (seconds := time.monotonic() - started) > 10 and not self._estimated:
            left = (self._steps - self._step) * seconds / (self._step - first)
            self._write(f"step {self._step:,} of {self._steps:,}: about {max(1, round(left / 60))} min left")
            self._estimated = True

    def evaluated(self, step: int, newest: str) -> None:
        """Writes the step, the newest figures in words, and the speed since the last evaluation."""
        first, started = self._since
        if step > first:
            self._note += f", {(step - first) / max(1e-9, time.monotonic() - started):,.0f} steps per second"
        figures = f": {newest}" if newest else ""
        self._write(f"step {step:,} of {self._steps:,}{figures}{self._note}")
        self._note, self._since = "", (step, time.monotonic())

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


def display_of(steps: int, stream: BestEffortStream, hidden: bool) -> Bar | Lines:
    """Returns the display of a run of `steps` steps on this stream; a hidden one writes nothing."""
    return Bar(steps, stream, hidden) if hidden or redraws(stream) else Lines(steps, stream)
