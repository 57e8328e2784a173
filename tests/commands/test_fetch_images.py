"""`omnidet fetch-images`: options reach the fetching, wrong ones are named; nothing of it loads
torch.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from omnidet.cli import main
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
        (["--part", "x"], "--part 'x' is not of the form I/N"),
        (["--part", "4/4"], "part 4 of 4 does not exist"),
        (["--connections", "0"], "--connections 0 is less than 1"),
        (["--out", "s3://bucket/pictures"], "are fetched into a local folder"),
        ([], "does not exist"),
    ],
)
def test_wrong_input(arguments, problem, tmp_path, capsys):
    path = tmp_path / "list.tsv"
    if arguments:
        path.write_text("url\tcaption\n", encoding="utf-8")
    assert main(["fetch-images", str(path), "--out", str(tmp_path / "out"), *arguments]) == 2
    told = capsys.readouterr().err
    assert problem in told
    assert len(told.splitlines()) == 1


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
