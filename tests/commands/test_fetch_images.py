"""`omnidet fetch-images`: options reach the fetching, wrong ones are named."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys

import pytest

from omnidet.cli import main
from omnidet.commands import fetch_images
from omnidet.data.web_images.settings import Options
from tests.data import hostile_server as hostile
from tests.data.web_images.pictures import picture


@pytest.mark.slow
def test_a_list_becomes_a_folder(tmp_path, capsys):
    with hostile.hostile_server() as site:
        site.files = {"a": picture(0), "b": picture(1, side=40)}
        path = tmp_path / "list.tsv"
        path.write_text(
            f"url\tcaption\n{site.url('a')}\tone\n{site.url('b')}\ttwo\n", encoding="utf-8"
        )
        arguments = [
            "fetch-images",
            str(path),
            "--out",
            str(tmp_path / "out"),
            "--workers",
            "1",
            "--min-side",
            "50",
        ]
        assert main([*arguments, "--allow-private"]) == 0
        assert (
            capsys.readouterr().out
            == "1 of 2 pictures in 1 shards (50.0%)\n         1  too small\n"
        )
        assert main([*arguments[:3], str(tmp_path / "strict"), *arguments[4:]]) == 0
        assert "2  private address" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--part", "x"], "--part 'x'"),
        (["--part", "4/4"], "part 4 of 4"),
        (["--connections", "0"], "--connections 0"),
        (["--out", "s3://bucket/pictures"], "--out s3://bucket/pictures"),
        ([], "does not exist"),
    ],
)
def test_wrong_input(arguments, problem, tmp_path, capsys):
    path = tmp_path / "list.tsv"
    if arguments:
        path.write_text("url\tcaption\n", encoding="utf-8")
    assert main(["fetch-images", str(path), "--out", str(tmp_path / "out"), *arguments]) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert len(said.splitlines()) == 1


def test_the_help_says_the_defaults_that_are_used():
    page = re.sub(r"\s+", " ", _help())
    default = Options()
    parts = (default, default.manners, default.taste)
    for name, _ in fetch_images.COUNTS[1:]:
        field = name[2:].replace("-", "_")
        (value,) = (getattr(part, field) for part in parts if hasattr(part, field))
        assert re.search(rf"{name} N [^-]*\(default: {value}\)", page), name
    assert f"(default: {default.manners.total_seconds:g})" in page
    assert f"(default: {','.join(default.manners.refused_directives)})" in page


def _help() -> str:
    parser = argparse.ArgumentParser()
    fetch_images.add(parser.add_subparsers())
    (action,) = parser._subparsers._group_actions
    return str(action.choices["fetch-images"].format_help())


@pytest.mark.slow
def test_commands_that_need_no_torch_load_none():
    program = (
        "import sys, omnidet.cli, omnidet.data.web_images.fetch\n"
        "omnidet.cli.main(['download'])\n"
        "sys.exit(bool({'torch', 'transformers', 'pyarrow'} & sys.modules.keys()))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", program], check=False, stdout=subprocess.DEVNULL
        ).returncode
        == 0
    )
