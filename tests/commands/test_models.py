"""The registry as people see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnidet import cli
from omnidet.registry import versions


def test_list_show_promote_rollback(registry, capsys):
    def said(*arguments: str) -> str:
        assert cli.main(["models", *arguments, "--registry", registry]) == 0
        return capsys.readouterr().out

    assert said("promote", "toy@3") == "toy@champion is toy@3\n"
    assert said("promote", "toy@1") == "toy@champion is toy@1\n"
    assert said("promote", "toy@champion", "--alias", "served") == "toy@served is toy@1\n"
    listed = (
        "toy@1  champion  served\n  coco/AP  0.100\n"
        "toy@2\n  coco/AP  0.200\ntoy@3\n  coco/AP  0.300\n"
    )
    assert said("list") == said() == listed
    assert cli.main(["models", "--registry", registry, "list"]) == 0
    assert capsys.readouterr().out == listed
    assert said("rollback", "toy") == "toy@champion is toy@3 again\n"
    shown = said("show", "toy@champion")
    assert shown.startswith(
        f"toy@3  champion\n{registry}/toy/3\n  coco/AP  0.300\n  run             run-0.3\n"
    )
    assert "weights_sha256" in shown
    assert said("show", "toy@1").startswith("toy@1  served\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    {
        "show toy@9": ("'toy'", "9"),
        "show other": ("'other'",),
        "promote toy": ("'toy' names no version", "toy@3"),
        "promote toy@9": ("'toy'", "9"),
        "promote toy@1 --alias 3": ("alias '3'",),
        "rollback toy": ("champion", "'toy'"),
        "rollback toy@2": ("'toy@2' is a version", "toy"),
        "rollback other": ("champion", "'other'"),
    }.items(),
)
def test_wrong_words(registry, refused, arguments, words):
    reason = refused("models", *arguments.split(), "--registry", registry)
    assert all(word in reason for word in words)


def test_a_registry_without_models(place, refused):
    assert f"{place}/empty holds no model" in refused("models", "--registry", f"{place}/empty")


def test_an_empty_alias_moves_nothing(registry, refused):
    assert "alias ''" in refused("models", "promote", "toy@1", "--registry", registry, "--alias=")
    assert versions.aliases(registry, "toy") == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", b""),
        ("metrics.json", b"[]"),
        ("metrics.json", b'{"coco/AP": null}'),
        ("metrics.json", None),
        ("provenance.json", b"[]"),
    ],
)
def test_a_damaged_version_is_named_and_passes_no_gate(registry, tmp_path, refused, name, content):
    versions.promote(registry, "toy", 1)
    file = Path(registry, "toy", "1", name)
    file.unlink() if content is None else file.write_bytes(content)
    calls = [["models", "show", "toy@1"], ["models", "promote", "toy@1"]]
    if name == "metrics.json":
        (tmp_path / "m.json").write_text('{"coco/AP": 0.9}')
        of_toy = ["--recipe", "tiny_world", "--set", "register.name=toy"]
        files = ["--metrics", str(tmp_path / "m.json"), "--out", str(tmp_path / "d.json")]
        calls += [["models", "list"], ["gate", *of_toy, *files]]
    for call in calls:
        assert name in refused(*call, "--registry", registry)
    assert not (tmp_path / "d.json").exists()


def test_weights_that_changed_are_not_promoted(registry, refused):
    weights = Path(registry, "toy", "2", "model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    reason = refused("models", "promote", "toy@2", "--registry", registry)
    assert "model.safetensors" in reason
    assert versions.aliases(registry, "toy") == {}


def test_a_damaged_version_does_not_hide_the_others(registry, capsys):
    metrics = Path(registry) / "toy" / "2" / "metrics.json"
    metrics.write_text(metrics.read_text().replace("0.2", "0.9"))
    assert cli.main(["models", "--registry", registry]) == 2
    said = capsys.readouterr()
    assert said.out == "toy@1\n  coco/AP  0.100\ntoy@3\n  coco/AP  0.300\n"
    assert "toy/2/metrics.json" in said.err
