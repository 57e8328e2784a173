"""The registry: versions that never change, whole or not there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omnidet import registry
from omnidet.inference.detector import OmniDet
from tests import toys

ROOT = Path(__file__).parents[1]


@pytest.fixture
def model(tmp_path) -> Path:
    toys.write_bundle(tmp_path / "model")
    return tmp_path / "model"


def _content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_version_is_whole_and_loads(tmp_path, model):
    version, is_new = registry.register(tmp_path / "registry", "toy", model, {"AP": 0.5}, {"run": "abc"})
    assert is_new
    assert (str(version), version.path) == ("toy@1", tmp_path / "registry" / "toy" / "1")
    assert version.metrics == {"AP": 0.5}
    assert version.provenance["run"] == "abc"
    assert len(version.provenance["weights_sha256"]) == 64
    assert _content(model).items() <= _content(version.path).items()
    assert {"metrics.json", "provenance.json", "README.md"} <= set(_content(version.path))
    assert "| AP | 0.500 |" in (version.path / "README.md").read_text()
    OmniDet.from_pretrained(version.path)


def test_versions_count_up_and_old_ones_stay_as_they_are(tmp_path, model):
    first, _ = registry.register(tmp_path / "registry", "toy", model, {"AP": 0.5}, {})
    before = _content(first.path)
    for seed in range(1, 11):
        toys.write_bundle(tmp_path / f"model{seed}", seed)
        version, is_new = registry.register(tmp_path / "registry", "toy", tmp_path / f"model{seed}", {"AP": 0.5}, {})
        assert (version.number, is_new) == (seed + 1, True)
    assert _content(first.path) == before
    assert [v.number for v in registry.versions(tmp_path / "registry", "toy")] == list(range(1, 12))  # 10 is behind 9
    assert registry.find(tmp_path / "registry", "toy").number == 11


def test_the_same_again_is_the_version_that_is_there(tmp_path, model):
    first, _ = registry.register(tmp_path / "registry", "toy", model, {"AP": 0.5}, {})
    before = _content(tmp_path / "registry")
    again, is_new = registry.register(tmp_path / "registry", "toy", model, {"AP": 0.5}, {"run": "later"})
    assert (again, is_new) == (first, False)
    assert _content(tmp_path / "registry") == before
    other, is_new = registry.register(tmp_path / "registry", "toy", model, {"AP": 0.6}, {})
    assert (other.number, is_new) == (2, True)  # measured otherwise
    _, is_new = registry.register(tmp_path / "registry", "second", model, {"AP": 0.5}, {})
    assert is_new
    assert registry.models(tmp_path / "registry") == ["second", "toy"]


@pytest.mark.slow
def test_two_processes_at_once_get_two_numbers(tmp_path):
    code = (
        "import sys, time, pathlib\nfrom omnidet import registry\n"
        "root, model, mark = (pathlib.Path(a) for a in sys.argv[1:])\nmark.touch()\n"
        "while len(list(root.glob('ready*'))) < 2: time.sleep(0.005)\n"
        "print(registry.register(root / 'registry', 'toy', model, {}, {})[0].number)\n"
    )
    started = []
    for i in range(2):
        toys.write_bundle(tmp_path / f"model{i}", i)
        arguments = [sys.executable, "-c", code, str(tmp_path), str(tmp_path / f"model{i}"), str(tmp_path / f"ready{i}")]
        started.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT))
    numbers = sorted(int(process.communicate(timeout=120)[0]) for process in started)
    assert numbers == [1, 2]
    hashes = {v.provenance["weights_sha256"] for v in registry.versions(tmp_path / "registry", "toy")}
    assert len(hashes) == 2
    assert sorted(p.name for p in (tmp_path / "registry" / "toy").iterdir()) == ["1", "2"]


def test_a_number_that_another_process_takes_in_between_is_not_overwritten(tmp_path, model, monkeypatch):
    """The race, made certain: the other one's version comes after the number was chosen."""
    first, _ = registry.register(tmp_path / "registry", "toy", model, {"AP": 0.5}, {})
    before = _content(first.path)
    real, calls = registry.versions, []

    def late(folder, name):
        calls.append(1)
        return [] if len(calls) <= 2 else real(folder, name)

    monkeypatch.setattr(registry, "versions", late)
    version, is_new = registry.register(tmp_path / "registry", "toy", model, {"AP": 0.9}, {})
    assert (version.number, is_new) == (2, True)
    assert _content(first.path) == before


@pytest.mark.slow
def test_killed_in_the_middle_leaves_no_version(tmp_path, model):
    code = (
        "import os, sys, signal, pathlib\nfrom omnidet import registry\n"
        "registry._card = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "registry.register(pathlib.Path(sys.argv[1]) / 'registry', 'toy', pathlib.Path(sys.argv[1]) / 'model', {}, {})\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert list((tmp_path / "registry" / "toy").iterdir())  # the stage is there
    assert registry.versions(tmp_path / "registry", "toy") == []
    assert registry.models(tmp_path / "registry") == []
    with pytest.raises(ValueError, match="no model 'toy'"):
        registry.find(tmp_path / "registry", "toy")
    version, _ = registry.register(tmp_path / "registry", "toy", model, {}, {})
    assert version.number == 1


def test_a_failure_leaves_nothing(tmp_path, model, monkeypatch):
    def full(*_arguments: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(registry, "_card", full)
    with pytest.raises(OSError, match="No space left"):
        registry.register(tmp_path / "registry", "toy", model, {}, {})
    assert list((tmp_path / "registry" / "toy").iterdir()) == []


@pytest.mark.parametrize("name", ["", "Toy", "a b", "../toy", "-toy", "x" * 64, "toy@1", "toy\n"])
def test_bad_names(tmp_path, model, name):
    with pytest.raises(ValueError, match="use lower-case letters") as caught:
        registry.register(tmp_path / "registry", name, model, {}, {})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "registry").exists()


@pytest.mark.parametrize("part", ["model.safetensors", "config.json", "vocabulary/idf.safetensors"])
def test_a_damaged_detector_is_refused(tmp_path, model, part):
    (model / part).write_bytes((model / part).read_bytes()[:50])
    with pytest.raises(ValueError, match=part.partition("/")[0].partition(".")[0]):
        registry.register(tmp_path / "registry", "toy", model, {}, {})
    assert not (tmp_path / "registry").exists()


def test_find(tmp_path, model):
    root = tmp_path / "registry"
    with pytest.raises(ValueError, match=r"no model 'toy' in .*registry: it holds nothing"):
        registry.find(root, "toy")
    for ap in (0.1, 0.2, 0.3):
        registry.register(root, "toy", model, {"AP": ap}, {})
    assert registry.find(root, "toy").metrics == {"AP": 0.3}
    assert registry.find(root, "toy@2").metrics == {"AP": 0.2}
    with pytest.raises(ValueError, match=r"no version 9 of 'toy' in .*: it has 1 to 3"):
        registry.find(root, "toy@9")
    with pytest.raises(ValueError, match=r"no model 'other' in .*: it holds toy"):
        registry.find(root, "other@1")
    assert json.loads((root / "toy" / "1" / "metrics.json").read_text()) == {"AP": 0.1}
