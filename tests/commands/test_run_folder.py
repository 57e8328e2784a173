"""Where a run goes, by what registered detectors and the replay have in folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from omnidet.commands import run_folder
from omnidet.data import shards
from tests import toys
from tests.steps.retrain import lines

OWN = "runs/finetune/cells"
OLD, NEW = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _registered(folder: str, data_version: str, start: str) -> Path:
    """A version that a run in the folder has registered."""
    number = len(list(Path("registry").glob("cups/*"))) + 1
    lesson = lines.lesson("cells", start) | {"data_version": data_version}
    version = lines.version(Path("registry"), number, {}, [lesson])
    Path(folder).mkdir(parents=True)
    receipt = {"version": str(version), "location": version.location}
    Path(folder, "registered.json").write_text(json.dumps(receipt))
    return Path(version.location)


def _choose(data_version: str, start: str = "cups@1", replay: str | None = None) -> str:
    return run_folder.choose("cells", None, data_version, start, replay)


def test_a_run_goes_on_where_it_was():
    assert _choose(OLD) == OWN
    Path(OWN).mkdir(parents=True)  # interrupted
    assert _choose(OLD) == _choose(NEW) == OWN
    _registered(f"{OWN}/again", OLD, "cups@1")
    shutil.copy(f"{OWN}/again/registered.json", OWN)
    assert _choose(OLD) == OWN  # rolled back, and begun again


@pytest.mark.parametrize("start", ["", "cups@1"])
def test_what_made_a_registered_detector_stays(start):
    place = _registered(OWN, OLD, start)
    assert _choose(NEW, start) == f"{OWN}-bbbbbbbb"
    assert _choose(OLD, "cups@7") == f"{OWN}-aaaaaaaa"
    _registered(f"{OWN}-aaaaaaaa", OLD, "cups@3")
    assert _choose(OLD, "cups@7") == f"{OWN}-aaaaaaaa-cups-7"
    assert _choose(OLD, start) == OWN
    shutil.rmtree(place)  # nothing needs the folder any more
    assert _choose(NEW, start) == OWN


def test_what_is_replayed_stays():
    toys.write_shards(Path(OWN, "shards"))
    assert _choose(NEW, replay=f"{OWN}/shards") == f"{OWN}-bbbbbbbb"
    index = shards.read_index(f"{OWN}/shards")
    with pytest.raises(ValueError, match=f"--out runs .*{min(index.sets)}"):
        run_folder.choose("cells", "runs", NEW, "cups@1", f"{OWN}/shards")
    assert run_folder.choose("cells", "other", NEW, "cups@1", f"{OWN}/shards") == "other"
