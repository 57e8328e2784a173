from __future__ import annotations

import gc

import pytest

from omnidet.commands import loading
from omnidet.registry import versions


def test_the_collector_rests_while_a_detector_is_loaded():
    before = gc.get_freeze_count()
    try:
        with loading.loading():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


def test_without_a_name_the_model_is_the_only_one(place, tmp_path):
    registry = str(tmp_path / "registry")
    assert loading.model_or_only(None, registry) == loading.DEMO  # whose absence is said elsewhere
    for name in ("mine", "other", loading.DEMO):
        versions.register(registry, name, place / "model", {"AP": 0.5}, {})
        if name == "mine":
            assert loading.model_or_only(None, registry) == "mine"
        if name == "other":
            with pytest.raises(ValueError, match=r"holds mine, other.*--model mine"):
                loading.model_or_only(None, registry)
        assert loading.model_or_only("some@3", registry) == "some@3"
    assert loading.model_or_only(None, registry) == loading.DEMO


def test_a_model_is_a_folder_or_a_version(place, registry):
    versions.promote(registry, "toy", 2)
    assert loading.find_model(str(place / "model"), registry) == (place / "model", "model", "")
    folder, name, version = loading.find_model("toy@champion", registry)
    assert (name, version) == ("toy", "2")
    assert (folder / "config.json").is_file()
    assert loading.find_model("toy", registry)[2] == "2"
    assert loading.find_model("toy@3", registry)[2] == "3"
    with pytest.raises(ValueError, match="nobody"):
        loading.find_model("toy@nobody", registry)
