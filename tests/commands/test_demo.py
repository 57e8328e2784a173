from __future__ import annotations

import pytest

from omnidet import cli
from tests import toys


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--model", "nobody"], "nobody"),
        (["--compare", "other"], "other"),
        (["--port", "-1"], "-1"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(tmp_path, monkeypatch, capsys, more, said):
    monkeypatch.chdir(tmp_path)
    toys.write_bundle(tmp_path / "toy")
    assert cli.main(["demo", "--model", "toy", *more]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
