"""A run into a folder: killed at any moment, it goes on, and ends as if nothing had happened."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

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


def _start(place, name):
    call = [sys.executable, "-m", "omnidet.cli", "predict", "p", "--model", "model", "--phrases"]
    call += ["red star", "ring", "--threshold", "0.2", "--save-dir", name, "--formats"]
    call += ["jsonl", "csv", "yolo", "coco", "--batch", "2"]
    return subprocess.Popen(
        call, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


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
        running = _start(place, "killed")
        journal = place / "killed" / NAME
        before = counts[-1] if counts else 0
        deadline = time.monotonic() + 400
        while running.poll() is None and time.monotonic() < deadline:
            count = journal.read_bytes().count(b"\n") if journal.is_file() else 0
            if count >= before + 10:
                running.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        assert running.wait(60) == -signal.SIGKILL, running.stderr.read()
        running.stderr.close()
        counts.append(journal.read_bytes().count(b"\n"))
    assert 10 <= counts[0] < counts[1] < 80
    assert not (place / "killed" / "predictions.csv").exists()
    last = _start(place, "killed")
    assert last.wait(500) == 0, last.stderr.read()
    assert _files(place / "killed") == _files(place / "whole")
    lines = (place / "killed" / NAME).read_text().splitlines()
    assert [json.loads(line)["image"] for line in lines] == [f"p/{n:03}.png" for n in range(80)]
    for process in (undisturbed, last):
        process.stderr.close()
