from __future__ import annotations

import io

from omnidet.predictions import progress
from omnidet.predictions.progress import Progress


def test_how_many_how_fast_and_how_long_still():
    counted = Progress(1000, done=100, out=io.StringIO())
    for _ in range(50):
        counted.step()
    assert counted.text(10.0) == "150 of 1000 pictures, 5.0 a second, 2:50 left"
    endless = Progress(None, out=io.StringIO())
    endless.step()
    assert endless.text(0.5) == "1 picture, 2.0 a second"


def test_hours_are_said(monkeypatch):
    monkeypatch.setattr(progress, "EVERY_SECONDS_IN_A_LOG", 0.0)
    out = io.StringIO()
    counted = Progress(100_000, out=out)
    counted.step()
    assert counted.text(1.0).endswith("27:46:39 left")
    assert out.getvalue().count("\n") == 1


def test_a_terminal_s_line_is_written_over(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)
    out = Terminal()
    counted = Progress(2, out=out)
    counted.step()
    counted.step()
    counted.clear()
    assert "\n" not in out.getvalue()
    assert out.getvalue().endswith("\r\033[K")
