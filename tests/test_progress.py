"""How far something is, in a log: whole lines, now and then."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios

import pytest

from omnidet import config, progress
from omnidet.steps import train_detector
from tests import toy_runs


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each state, as if half a minute passed in between."""
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)


@pytest.mark.usefixtures("often")
def test_each_state_is_a_line_of_its_own(capsys):
    assert list(progress.bar(iter("abc"), desc="letters", unit="letter", total=3)) == list("abc")
    err = capsys.readouterr().err
    assert "\r" not in err
    assert "\n\n" not in err
    lines = err.splitlines()
    assert len(lines) >= 3
    assert re.fullmatch(r"letters: 3 of 3 letters, .*letter/s, 00:00 left", lines[-1])


@pytest.mark.usefixtures("often")
def test_bytes_are_shown_as_such_and_an_unknown_total_is_left_out(capsys):
    with progress.bar(desc="file", unit="B") as shown:
        shown.update(2_500_000)
    assert re.fullmatch(r"file: 2.50MB, \S+B/s", capsys.readouterr().err.splitlines()[-1])


def test_what_is_over_within_half_a_minute_leaves_no_line(capsys):
    assert len(list(progress.bar(range(1000), desc="numbers", unit="number"))) == 1000
    assert capsys.readouterr().err == ""


def test_nested_bars_move_no_cursor(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
    for _ in progress.bar(range(2), desc="outer", unit="step"):
        list(progress.bar(range(2), desc="inner", unit="step"))
    err = capsys.readouterr().err
    assert {"outer", "inner"} == {line.partition(":")[0] for line in err.splitlines()}
    assert "\x1b" not in err


@pytest.mark.usefixtures("often")
def test_shards_and_evaluation_show_lines(tmp_path, capsys):
    recipe = config.override(toy_runs.recipe(), "world.train_images=12")
    world, shards, words, model = (str(tmp_path / part) for part in ("world", "s", "words", "m"))
    train_detector.draw_world(world, recipe)
    train_detector.build_shards(world, shards, recipe)
    train_detector.build_vocabulary(shards, words, recipe)
    train_detector.train(shards, words, model, recipe)
    built = capsys.readouterr().err
    train_detector.evaluate(model, shards, str(tmp_path / "m.json"), str(tmp_path / "e"), recipe)
    for err, names in (
        (built, {"drawing the tiny world", "shards train/coco"}),
        (capsys.readouterr().err, {"eval/coco"}),
    ):
        assert "\r" not in err
        assert names <= {line.partition(":")[0] for line in err.splitlines()}


def test_on_a_terminal_it_is_a_bar():
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    code = "from omnidet import progress\nlist(progress.bar(range(3), desc='steps', unit='step'))\n"
    ran = subprocess.run([sys.executable, "-c", code], stderr=slave, timeout=120)
    os.close(slave)
    shown = os.read(master, 10_000).decode()
    os.close(master)
    assert ran.returncode == 0
    assert "\r" in shown
    assert "3/3" in shown
