"""A run into a folder: killed at any moment, it goes on, and ends as if nothing had happened."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omnidet import cli
from omnidet.predictions.journal import NAME, WRITTEN
from tests import toys


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folder")
    toys.write_bundle(folder / "model")
    (folder / "p").mkdir()
    for number in range(80):
        content = toys.png(60 + number % 7, 40, [(5, 5, 20, 20)])
        (folder / "p" / f"{number:03}.png").write_bytes(content)
    return folder


def _call(name, *formats):
    call = ["predict", "p", "--model", "model", "--phrases", "red star", "ring"]
    call += ["--threshold", "0.2", "--save-dir", name, "--batch", "2", "--formats"]
    return [*call, "jsonl", "csv", "yolo", "coco", *formats]


def _start(place, name, *formats):
    return subprocess.Popen(
        [sys.executable, "-m", "omnidet.cli", *_call(name, *formats)],
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


KILLED = f"""
import os, sys
from omnidet import cli
from omnidet.predictions.journal import Journal

add, times = Journal.add, iter(range(int(sys.argv[1])))
def counted(journal, line):
    if next(times, None) is None:  # the picture's files are written
        os.kill(os.getpid(), {int(signal.SIGKILL)})
    add(journal, line)
Journal.add = counted
cli.main(sys.argv[2:])
"""


def _run_killed(place, lines, name, *formats):
    """A run that is killed once its journal has so many lines more."""
    call = [sys.executable, "-c", KILLED, str(lines), *_call(name, *formats)]
    ran = subprocess.run(call, cwd=place, capture_output=True, text=True, timeout=500)
    assert ran.returncode == -signal.SIGKILL, ran.stderr


def _files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (WRITTEN, ".lock")
    }


def test_a_run_that_is_killed_twice_ends_like_one_that_is_not(place):
    undisturbed = _start(place, "whole")
    assert undisturbed.wait(500) == 0, undisturbed.stderr.read()
    counts = []
    for _ in range(2):
        _run_killed(place, 10, "killed")
        counts.append((place / "killed" / NAME).read_bytes().count(b"\n"))
    assert counts == [10, 20]
    assert not (place / "killed" / "predictions.csv").exists()
    last = _start(place, "killed")
    assert last.wait(500) == 0, last.stderr.read()
    assert _files(place / "killed") == _files(place / "whole")
    lines = (place / "killed" / NAME).read_text().splitlines()
    assert [json.loads(line)["image"] for line in lines] == [f"p/{n:03}.png" for n in range(80)]
    for process in (undisturbed, last):
        process.stderr.close()


def test_pictures_that_changed_are_looked_at_again_whatever_kills_the_run(
    place, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(place / "model", "model")
    shutil.copytree(place / "p", "p")
    assert cli.main(_call("run", "crops")) == 0
    before = Path("run", NAME).read_text().splitlines()
    for number in range(20, 60):  # another size, so that no box stays as it is
        content = toys.png(90 + number % 7, 55, [(30, 9, 60, 50)], "blue")
        Path("p", f"{number:03}.png").write_bytes(content)
    _run_killed(tmp_path, 10, "run", "crops")
    killed = Path("run", NAME).read_text().splitlines()
    assert len(killed) == 80 + 10
    assert killed[:80] == before  # no old result goes before the new one is there
    capsys.readouterr()
    assert cli.main(_call("run", "crops")) == 0
    assert "pictures changed since" in capsys.readouterr().err
    assert cli.main(_call("whole", "crops")) == 0
    assert _files(Path("run")) == _files(Path("whole"))
    capsys.readouterr()
    assert cli.main(_call("run", "crops")) == 0
    assert "changed" not in capsys.readouterr().err


def test_a_corrected_label_file_of_a_picture_that_changed_is_kept(
    place, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(place / "model", "model")
    picture, mine = Path("p", "a.png"), Path("run", "yolo", "a.txt")
    picture.parent.mkdir()
    picture.write_bytes(toys.png(60, 40, [(5, 5, 20, 20)]))
    assert cli.main(_call("run")) == 0
    mine.write_text("0 0.5 0.5 0.1 0.1\n")
    picture.write_bytes(toys.png(70, 40, [(5, 5, 20, 20)]))
    capsys.readouterr()
    assert cli.main(_call("run")) == 1
    said = capsys.readouterr().err
    assert str(mine) in said
    assert str(picture) in said
    assert json.loads(Path("run", NAME).read_text())["width"] == 60
    assert mine.read_text() == "0 0.5 0.5 0.1 0.1\n"
    mine.unlink()
    assert cli.main(_call("run")) == 0
    assert "1 picture changed since" in capsys.readouterr().err
    assert json.loads(Path("run", NAME).read_text())["width"] == 70


def test_names_that_no_picture_has_are_said_once(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    call = ["predict", "p/000.png", "p/001.png", "--model", "model", "--formats", "jsonl"]
    phrases = ["--phrases", "red star", "ring"]
    assert cli.main([*call, *phrases, "--threshold", "1", "--save-dir", "none"]) == 0
    assert "no box in any picture for 'red star', 'ring':" in capsys.readouterr().err
    assert cli.main([*call, *phrases, "--threshold", "0", "--save-dir", "all"]) == 0
    assert "no box" not in capsys.readouterr().err
    many = toys.NAMES[:9]
    assert cli.main([*call, "--phrases", *many, "--threshold", "1", "--save-dir", "many"]) == 0
    said = capsys.readouterr().err
    assert f"'{many[4]}' and 4 more" in said
    assert many[5] not in said.partition("no box")[2]


def test_where_no_picture_was_looked_at_nothing_is_said_of_names(place, tmp_path, capsys):
    (tmp_path / "torn.png").write_bytes(toys.png(60, 40, [])[:50])
    (tmp_path / "empty.png").write_bytes(b"")
    call = ["predict", str(tmp_path), "--model", str(place / "model"), "--phrases", "ring"]
    assert cli.main([*call, "--save-dir", str(tmp_path / "run")]) != 0
    said = capsys.readouterr().err
    assert "torn.png" in said
    assert "no box" not in said


def test_labels_that_are_not_called_as_their_picture_are_said(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("x").mkdir()
    for name in ("a.jpg", "a.png", "b.png"):
        shutil.copy(place / "p/000.png", Path("x", name))
    call = ["predict", "x", "--model", str(place / "model"), "--phrases", "ring"]
    assert cli.main([*call, "--save-dir", "run", "--formats", "yolo", "jsonl"]) == 0
    assert {path.name for path in Path("run/yolo").glob("[ab]*.txt")} == {
        "a.txt",
        "a-2.txt",
        "b.txt",
    }
    said = capsys.readouterr().err
    assert '1 label file, such as run/yolo/a-2.txt of "x/a.png"' in said
    assert cli.main([*call, "--save-dir", "other", "--formats", "voc", "jsonl"]) == 0
    assert "label file" not in capsys.readouterr().err
    assert cli.main(["label", *call[1:], "--out", "draft", "--format", "yolo"]) == 0
    assert "label file" not in capsys.readouterr().err
