"""A full standard output is one line that names it, from every program; a reader that has seen
enough is no error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from omnidet import cli, standard_output
from omnidet.registry import versions
from tests import evaluations, toys

CALLS = {
    "omnidet": (
        "--help",
        "models --registry {p}/registry",
        "compare {p}/evaluation {p}/evaluation",
        "predict {p}/a.png --phrases star --model {p}/model --out {o}/a.png",
        "predict {p}/a.png {p}/b.png --phrases star --model {p}/model --json",
    ),
    "omnidet.onnx": ("--help",),
    "pipelines": ("--help",),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A detector, pictures, a registry and an evaluation."""
    folder: Path = tmp_path_factory.mktemp("printed")
    toys.write_bundle(folder / "model")
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(toys.png(64, 64, [(5, 5, 30, 30)]))
    versions.register(folder / "registry", "toy", folder / "model", {"coco/AP": 0.5}, {})
    evaluations.evaluation(folder / "evaluation")
    return folder


@pytest.mark.parametrize(
    ("module", "call", "unbuffered"),
    [
        *((module, call, "") for module, calls in CALLS.items() for call in calls),
        ("omnidet", CALLS["omnidet"][1], "1"),  # as in the images
    ],
)
def test_a_full_standard_output_is_one_line(place, tmp_path, module, call, unbuffered):
    program = "omnidet.cli" if module == "omnidet" else module
    given = call.format(p=place, o=tmp_path).split()
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", program, *given],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            timeout=120,
        )
    assert ran.returncode == standard_output.FAILED, ran.stderr
    *hints, line = ran.stderr.splitlines()
    assert "standard output" in line
    assert os.strerror(28) in line
    assert all(hint.startswith("hint: ") for hint in hints)


def test_the_command_is_named(place):
    with open("/dev/full", "w") as full:
        call = [sys.executable, "-m", "omnidet.cli", "models", "--registry", place / "registry"]
        ran = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert ran.stderr.startswith("omnidet models: ")


def test_a_reader_that_has_seen_enough_is_no_error():
    read, write = os.pipe()
    os.close(read)
    program = (
        "import sys; from omnidet import standard_output as s\n"
        "def main():\n    print('a')\n    return 0\n"
        "sys.exit(s.run('me', main))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, timeout=60
    )
    os.close(write)
    assert (ran.returncode, ran.stderr) == (141, b"")


def test_nobody_is_told_twice():
    """A program that says itself what went wrong, as the commands do."""
    program = (
        "import sys; from omnidet import standard_output as s\n"
        "def main():\n"
        "    try:\n        print('a', flush=True)\n"
        "    except OSError as error:\n        print('mine:', error, file=sys.stderr)\n"
        "    print('more')\n    return 7\n"
        "sys.exit(s.run('me', main))"
    )
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, text=True
        )
    (line,) = ran.stderr.splitlines()
    assert line.startswith("mine: standard output")
    assert ran.returncode == 7


def test_hints_do_not_go_to_standard_output_where_standard_error_is_closed(place):
    call = ["predict", str(place / "a.png"), "--phrases", "xylophone", "--json"]
    command = [sys.executable, "-m", "omnidet.cli", *call, "--model", str(place / "model")]
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    ran = subprocess.run(closed, stdout=subprocess.PIPE, text=True, timeout=120)
    (line,) = ran.stdout.splitlines()
    assert json.loads(line)["image"] == str(place / "a.png")
    assert ran.returncode == 0


def test_a_closed_standard_input_is_said(place):
    command = [sys.executable, "-m", "omnidet.cli", "predict", "-", "--phrases", "star"]
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    ran = subprocess.run(closed, stderr=subprocess.PIPE, text=True, cwd=place, timeout=120)
    (line,) = ran.stderr.splitlines()
    assert "standard input" in line
    assert ran.returncode == 2


def test_a_closed_standard_output_is_nobody_s_error(place):
    call = f"{sys.executable} -m omnidet.cli models --registry {place / 'registry'} >&-"
    ran = subprocess.run(["/bin/sh", "-c", call], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_what_is_printed_comes_through(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict", "utf-8:surrogateescape"])
def test_json_is_json_and_no_name_ends_a_program_whatever_the_terminal_spells(encoding):
    program = (
        "import sys; from omnidet import standard_output as s\n"
        "def main():\n"
        "    print(s.json_line(['\\u00fc', '\\udce9']))\n    print('\\u00fc \\udce9')\n"
        "    return 0\n"
        "sys.exit(s.run('me', main))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    first, _ = ran.stdout.splitlines()
    assert json.loads(first.decode("utf-8")) == ["\u00fc", "\udce9"]
