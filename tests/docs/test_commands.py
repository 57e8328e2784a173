"""The reference of the commands: every command and argument of the parsers is in it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs import commands

ROOT = Path(__file__).parents[2]


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tool", description="Makes things.")
    subparsers = parser.add_subparsers()
    bake = subparsers.add_parser("bake", description="bake at 90%% or <more>")
    bake.add_argument("cake", help="what | to bake")
    bake.add_argument("--minutes", "-m", type=int, default=30, metavar="N", help="how long")
    bake.add_argument("--fan", action="store_true")
    bake.add_argument("--shape", choices=["", "round"], required=True)
    bake.add_argument("--icing", default="none", help="on top (default: none)")
    bake.add_argument("--secret", help=argparse.SUPPRESS)
    subparsers.add_parser("oven").add_subparsers().add_parser("heat", description="heat it")
    return parser


def test_commands_of_commands_are_found(parser):
    assert [c.prog for c in commands.commands(parser)] == [
        *("tool bake", "tool oven", "tool oven heat")
    ]


def test_a_command_has_its_usage_and_a_row_for_each_argument(parser):
    page = commands.page([parser])
    assert "## tool\n\nMakes things." in page
    assert "### tool bake\n\nbake at 90% or &lt;more>" in page
    assert "usage: tool bake [-h]" in page
    assert "### tool oven heat\n\nheat it" in page
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [
        "| `CAKE` | what \\| to bake |",
        "| `--minutes N`, `-m N` | how long; default: `30` |",
        "| `--fan` |  |",
        "| `--shape SHAPE` | **required** one of `round` |",
        "| `--icing ICING` | on top (default: none) |",
    ]


def test_the_page_of_omnidet_has_every_command(tmp_path):
    """In a process of its own, as `make docs` runs it; the machine's settings stay out of it."""
    environment = {**os.environ, "KFP_ENDPOINT": "https://secret.example.org"}
    out = tmp_path / "commands.md"
    subprocess.run(
        [sys.executable, str(ROOT / "docs" / "commands.py"), str(out)],
        check=True,
        cwd=tmp_path,
        env=environment,
        timeout=60,
    )
    page = out.read_text(encoding="utf-8")
    assert "%(" not in page
    assert "address to listen on" in page
    assert "(default: 127.0.0.1)" in page
    headings = [line for line in page.splitlines() if line.startswith("### ")]
    for command in ("train", "predict", "download", "models rollback", "finetune"):
        assert f"### omnidet {command}" in headings
    for command in ("compile", "submit", "schedule", "status", "run-local"):
        assert f"### python -m pipelines {command}" in headings
    assert "secret.example.org" not in page
