"""A version that is not as it was registered is used by nobody."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from omnidet.inference.detector import OmniDet
from omnidet.model import bundle, seal
from omnidet.registry import versions
from tests import toys


@pytest.fixture
def version(tmp_path) -> Path:
    toys.write_bundle(tmp_path / "model")
    made, _ = versions.register(tmp_path / "registry", "toy", tmp_path / "model", {"AP": 0.5}, {})
    return Path(made.location)


def test_a_whole_version(version):
    checked = seal.check(version)
    assert {"config.json", "model.safetensors", "metrics.json"} <= checked.keys()
    assert checked == {k: v for k, v in _hashes(version).items() if k != "README.md"}
    assert seal.check(version, "config.json").keys() == {"config.json"}
    with (version / "README.md").open("a") as card:
        card.write("What we learned: ...")
    assert OmniDet.from_pretrained(version).image_size


def _hashes(version: Path) -> dict[str, str]:
    return versions.Version("toy", 1, str(version)).hashes


def test_a_folder_of_its_own_has_nothing_to_compare_with(tmp_path):
    toys.write_bundle(tmp_path / "model")
    assert seal.check(tmp_path / "model") == {}


def test_one_digit_of_the_architecture(version):
    """It fits the weights, and gives other boxes."""
    path = version / "config.json"
    text = path.read_text()
    changed = text.replace('"image_size": 64', '"image_size": 96')
    assert changed != text
    path.write_text(changed)
    for use in (bundle.read_config, bundle.check, bundle.load, OmniDet.from_pretrained):
        with pytest.raises(ValueError, match=r"config\.json is not as it was registered"):
            use(version)


@pytest.mark.parametrize("name", ["vocabulary/tokenizer.json", "metrics.json", "provenance.json"])
def test_any_other_file(version, name):
    with (version / name).open("a") as file:
        file.write(" ")
    with pytest.raises(ValueError, match=f"{name} is not as it was registered"):
        bundle.load(version)
    (version / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        bundle.check(version)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"sha256": 3}'])
def test_a_damaged_list_of_hashes(version, text):
    (version / "version.json").write_text(text)
    with pytest.raises(ValueError, match=r"version\.json is not a list of hashes"):
        bundle.load(version)


def test_a_copy_is_checked_too(version, tmp_path):
    shutil.copytree(version, tmp_path / "copy")
    weights = tmp_path / "copy" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"model\.safetensors is not as it was registered"):
        bundle.load(tmp_path / "copy")
