"""Lines of progress in a log."""

import io

from genjax_models.runs import display


def test_a_log_says_once_after_ten_seconds_how_long_it_will_take(monkeypatch):
    now = 0.0
    monkeypatch.setattr(display.time, "monotonic", lambda: now)
    stream = io.StringIO()
    with display.Lines(1_000, stream) as lines:
        now = 100.0  # of compilation, which does not count
        lines.compiled(100.0, 200)
        for _ in range(4):
            now += 6
            lines.advanced(20, "")
        now += 6
        lines.advanced(20, "")
        lines.evaluated(300, "bound -1.00")
    assert stream.getvalue().splitlines()[1:] == [
        "step 240 of 1,000: about 4 min left",  # 760 steps of 0.3 s
        "step 300 of 1,000: bound -1.00, compiled in 100.0 s, 3 steps per second",
    ]
