"""Publishing a version: whole or not at all, under a number of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omnidet import storage
from omnidet.inference.detector import OmniDet
from omnidet.model import bundle
from omnidet.registry import publish, versions
from tests import toys
from tests.registry.conftest import content

ROOT = Path(__file__).parents[2]


def _publish(registry: str, model: Path, **metrics: float) -> int:
    told = bundle.read_config(model)
    return publish.publish(registry, publish.Content("toy", model, metrics, {"run": "abc"}, told))


def test_a_version_is_whole_and_loads(registry, tmp_path, model):
    assert _publish(registry, model, AP=0.5) == 1
    (version,) = versions.versions(registry, "toy")
    files, own = content(version.location), content(str(model))
    assert own.items() <= files.items()
    added = set(files) - set(own) - {"CLAIM"}
    assert added == {"metrics.json", "provenance.json", "README.md", "version.json"}
    assert set(version.hashes) == set(files) - {"CLAIM", "version.json"}
    assert version.provenance == {"run": "abc"}
    version.check_whole()
    OmniDet.from_pretrained(version.folder(tmp_path / "cache"))


def test_the_card_shows_metrics_provenance_and_code_that_works(tmp_path, model):
    _publish(str(tmp_path / "registry"), model, AP=0.5)
    card = (tmp_path / "registry" / "toy" / "1" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# toy\n")
    assert "| AP | 0.500 |" in card
    assert "| run | `abc` |" in card
    code = card.split("```python\n")[1].split("```")[0]
    (tmp_path / "picture.jpg").write_bytes(toys.png(64, 64, []))
    code = code.replace("<this folder>", str(model))
    names: dict[str, object] = {}
    exec(code.replace("picture.jpg", str(tmp_path / "picture.jpg")), names)
    assert (names["found"].width, names["found"].height) == (64, 64)


def test_a_number_that_is_taken_meanwhile_is_not_overwritten(registry, model, monkeypatch):
    """The race, made certain: the other version appears after the number was chosen."""
    assert _publish(registry, model, AP=0.5) == 1
    before = content(f"{registry}/toy/1")
    monkeypatch.setattr(publish, "_next_number", lambda *_: 1)
    assert _publish(registry, model, AP=0.9) == 2
    assert content(f"{registry}/toy/1") == before
    assert json.loads(storage.read_text(f"{registry}/toy/2/version.json"))["number"] == 2


def test_other_files_are_stepped_over(registry, model):
    storage.write_text(f"{registry}/toy/4", "a file with a number for its name")
    storage.write_text(f"{registry}/toy/07/version.json", "{}")
    storage.write_text(f"{registry}/toy/notes/version.json", "{}")
    assert _publish(registry, model) == 5
    assert [version.number for version in versions.versions(registry, "toy")] == [5]


@pytest.mark.s3
def test_a_claim_is_not_a_version_and_its_number_is_not_given_again(s3, model, monkeypatch):
    registry = f"{s3.uri}/registry"

    def lost(*_: object) -> None:
        raise ConnectionError("the object store is gone")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes", lost)  # the last of its steps
        with pytest.raises(ConnectionError):
            _publish(registry, model)
    half = content(f"{registry}/toy/1")
    assert {"CLAIM", "model.safetensors"} <= set(half)
    assert versions.versions(registry, "toy") == versions.models(registry) == []
    with pytest.raises(ValueError, match="'toy'"):
        versions.find(registry, "toy")
    assert _publish(registry, model) == 2
    assert [version.number for version in versions.versions(registry, "toy")] == [2]
    assert content(f"{registry}/toy/1") == half


@pytest.mark.slow
def test_two_processes_at_once_get_two_numbers(registry, tmp_path, request):
    code = """
import sys, time, pathlib
from omnidet.registry import versions
registry, root, model, mark = sys.argv[1], *(pathlib.Path(a) for a in sys.argv[2:])
mark.touch()
while len(list(root.glob('ready*'))) < 2: time.sleep(0.005)
print(versions.register(registry, 'toy', model, {}, {})[0].number)
"""
    environment, started = dict(os.environ), []
    if storage.is_s3(registry):
        environment["AWS_ENDPOINT_URL"] = request.getfixturevalue("one_at_a_time").endpoint
    for i in range(2):
        toys.write_bundle(tmp_path / f"model{i}", i)
        places = [registry, str(tmp_path), str(tmp_path / f"model{i}"), str(tmp_path / f"ready{i}")]
        arguments = [sys.executable, "-c", code, *places]
        started.append(
            subprocess.Popen(
                arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
            )
        )
    numbers = sorted(int(process.communicate(timeout=240)[0]) for process in started)
    assert numbers == [1, 2]
    assert len({v.provenance["weights_sha256"] for v in versions.versions(registry, "toy")}) == 2
    assert storage.list_folders(f"{registry}/toy") == ["1", "2"]


@pytest.mark.slow
def test_a_kill_half_way_leaves_no_version(registry, tmp_path, model):
    code = """
import os, sys, signal, pathlib
from omnidet.registry import publish, versions
publish._card = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
versions.register(sys.argv[1], 'toy', pathlib.Path(sys.argv[2]), {}, {})
"""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    killed = subprocess.run(
        [sys.executable, "-c", code, registry, str(model)], cwd=ROOT, timeout=240, env=environment
    )
    assert killed.returncode == -signal.SIGKILL
    if storage.is_s3(registry):
        assert storage.list_files(f"{registry}/toy")  # the claim is left
    else:
        assert list(Path(registry, "toy").glob(".stage-*"))  # which no listing looks into
    assert versions.versions(registry, "toy") == versions.models(registry) == []
    version, _ = versions.register(registry, "toy", model, {}, {})
    assert version.number == (2 if storage.is_s3(registry) else 1)
    assert versions.models(registry) == ["toy"]


def test_a_failure_leaves_no_version(registry, model, monkeypatch):
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish, "_card", full)
    with pytest.raises(OSError, match="No space left"):
        _publish(registry, model)
    left = storage.list_files(f"{registry}/toy")
    assert left == (["1/CLAIM"] if storage.is_s3(registry) else [])
    assert versions.models(registry) == []


@pytest.mark.parametrize("files", [("config.json", "model.safetensors"), ("model.safetensors",)])
def test_a_detector_that_is_trained_anew_meanwhile_is_not_taken_for_the_measured_one(
    registry, model, tmp_path, monkeypatch, files
):
    """Whether all of it is another one by then, or a part."""
    toys.write_bundle(tmp_path / "other", 1)
    copytree = shutil.copytree

    def late(*places, **given):
        monkeypatch.setattr(shutil, "copytree", copytree)
        for name in files:
            (tmp_path / "other" / name).replace(model / name)
        return copytree(*places, **given)

    monkeypatch.setattr(shutil, "copytree", late)
    with pytest.raises(OSError, match=f"{model} was written while"):
        versions.register(registry, "toy", model, {"AP": 0.5}, {})
    assert versions.models(registry) == []


def test_a_registered_version_can_be_read_by_others(tmp_path, model):
    _publish(str(tmp_path / "registry"), model, AP=0.5)  # some files of the model are private
    files = [path for path in (tmp_path / "registry").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o444 for path in files} == {0o444}


def test_a_full_disk_is_one_line(tmp_path, model):
    """A limit of the size of files is met where a full disk would be."""
    code = (
        "import resource, sys, pathlib\n"
        "from omnidet.registry import versions\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    versions.register(sys.argv[1], 'toy', pathlib.Path(sys.argv[2]), {'AP': 0.5}, {})\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    call = [sys.executable, "-c", code, str(tmp_path / "registry"), str(model)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert "cannot be copied" in done.stdout
    assert "(File too large)" in done.stdout
    assert "[(" not in done.stdout
    assert done.stdout.count("\n") == 1
    assert storage.list_files(tmp_path / "registry") == []


def test_a_version_can_be_registered_again_elsewhere(registry, tmp_path, model):
    first, _ = versions.register(registry, "toy", model, {}, {})
    again, _ = versions.register(str(tmp_path / "other"), "toy", first.folder(), {}, {})
    again.check_whole()
    assert "version.json" not in again.hashes
