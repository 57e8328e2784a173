"""The command line as a whole: all commands are there, errors are one line and an exit code."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from omnidet import cli
from omnidet.commands import summary

ROOT = Path(__file__).parents[1]
CALL = ["summary", "--metrics", "m.json", "--report", "r.html"]


def test_the_commands_are_listed_in_the_order_of_the_work(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("    ") and line[4] != " "]
    assert listed == [
        *("world", "shards", "vocabulary", "train", "evaluate", "report", "gate", "register"),
        *(
            "finetune",
            "backbones",
            "predict",
            "label",
            "export",
            "summary",
            "download",
            "fetch-images",
            "inspect",
            "models",
        ),
        *("score", "compare", "serve", "demo"),
    ]


def test_unknown_words_end_with_the_usage(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["nonsense"])
    assert caught.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("two\n  lines"), 2, "two lines"),
        (FileNotFoundError("a.json does not exist"), 2, "a.json does not exist"),
        (PermissionError("a.json"), 2, "a.json"),
        (OSError(errno.ENAMETOOLONG, "File name too long"), 2, "File name too long"),
        (OSError(errno.ENOSPC, "No space left"), 1, "No space left: make room on the disk"),
        (OSError(errno.ENOSPC, "No space left", "a.tar"), 1, "'a.tar'"),
        (
            OSError(errno.EROFS, "Read-only", "runs"),
            2,
            "runs cannot be written (Read-only): correct",
        ),
        (ConnectionError("no answer"), 1, "no answer"),
        (FloatingPointError("loss is nan"), 1, "loss is nan"),
        (ValueError(""), 2, "ValueError"),
        (ModuleNotFoundError("No module named 'kfp'", name="kfp"), 2, "omnidet[pipelines]"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_an_error_becomes_one_line_and_an_exit_code(capsys, monkeypatch, error, code, line):
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(summary, "run", fail)
    assert cli.main(CALL) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("omnidet summary: ")
    assert line in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "error", [RuntimeError("a fault"), ModuleNotFoundError("No module named 'x'", name="x")]
)
def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch, error):
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(summary, "run", fail)
    with pytest.raises(type(error)):
        cli.main(CALL)


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (3, 3)])
def test_what_a_command_returns_is_the_exit_code(monkeypatch, returned, code):
    monkeypatch.setattr(summary, "run", lambda _: returned)
    assert cli.main(CALL) == code


def test_as_a_process():
    call = [sys.executable, "-m", "omnidet.cli", "predict", "nowhere.png", "--phrases", "star"]
    ran = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("omnidet predict: ")
    assert "nowhere.png does not exist" in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "used"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE")]
)
def test_threads_that_wait_leave_the_processor_to_others_unless_asked_otherwise(given, used):
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-m", "omnidet.cli", "backbones"],
        env=environment | given | {"OMP_DISPLAY_ENV": "true"},
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert f"OMP_WAIT_POLICY = '{used}'" in done.stderr
