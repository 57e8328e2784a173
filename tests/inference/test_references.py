"""A detector by name: a folder, a registered version, or the Hugging Face hub's own cache."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from omnidet.inference import references
from omnidet.registry import versions
from tests import toys


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("references") / "toy-model"
    toys.write_bundle(folder)
    return folder


def test_a_folder(model):
    found = references.find(str(model))
    assert (found.folder, found.name, found.version) == (model, "toy-model", "")


def test_a_registered_version(model, tmp_path):
    for ap in (0.1, 0.2):
        versions.register(tmp_path, "toy", model, {"coco/AP": ap}, {})
    assert references.find("toy", tmp_path).version == "2"
    versions.promote(tmp_path, "toy", 1)
    for name in ("toy@champion", "toy"):  # not the newest, which nobody promoted
        champion = references.find(name, tmp_path)
        assert (champion.name, champion.version) == ("toy", "1")
        assert champion.folder == tmp_path / "toy" / "1"
    assert references.find("toy@2", tmp_path).version == "2"
    with pytest.raises(ValueError, match="nobody"):
        references.find("toy@nobody", tmp_path)


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_refused(name):
    with pytest.raises(ValueError, match="--model"):
        references.find(name)


def test_a_folder_without_a_detector_is_no_model_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("runs/nothing", str(tmp_path), "a/b/c"):
        with pytest.raises(FileNotFoundError, match=name):
            references.find(name)


PROGRAM = """
import sys
from omnidet.inference import references
try:
    found = references.find(sys.argv[1])
    print(found.name, found.version, sorted(p.name for p in found.folder.iterdir()))
except (OSError, ValueError) as error:
    print(type(error).__name__, error)
"""


def _with_cache(home, name):
    """In a process of its own: the hub's library reads its settings as it is imported."""
    settings = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, name],
        env={**settings, "PYTHONPATH": ":".join(p for p in sys.path if p)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_the_hub_s_cache_is_read_without_a_network(model, tmp_path):
    commit = "0" * 40
    repository = tmp_path / "hub" / "models--owner--toy"
    shutil.copytree(model, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    for name in ("owner/toy", "hf://owner/toy"):
        assert _with_cache(tmp_path, name).startswith("toy  ['config.json'")
    assert json.loads((repository / "snapshots" / commit / "config.json").read_text())


def test_a_hub_that_does_not_answer_is_said_with_the_name(tmp_path):
    said = _with_cache(tmp_path, "owner/unknown")
    assert said.startswith("OSError owner/unknown")
    assert "hub" in said
    assert _with_cache(tmp_path, "hf://not a name").startswith("ValueError not a name")
