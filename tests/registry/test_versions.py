"""Versions that never change, whole or not there, and aliases: in a folder and on a real object store alike."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from omnidet import s3_client, storage
from omnidet.inference.detector import OmniDet
from omnidet.registry import pointers, versions
from tests import toys
from tests.object_store import OneAtATime

ROOT = Path(__file__).parents[2]


@pytest.fixture
def model(tmp_path) -> Path:
    toys.write_bundle(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.s3)])
def registry(request, tmp_path) -> str:
    if request.param == "s3":
        return f"{request.getfixturevalue('s3').uri}/models/registry"
    return str(tmp_path / "registry")


@pytest.fixture
def one_at_a_time(s3) -> Iterator[OneAtATime]:
    with OneAtATime(s3.store) as front:
        yield front


def _content(location: str) -> dict[str, bytes]:
    return {
        name: storage.read_bytes(storage.join(location, name))
        for name in storage.list_files(location)
    }


def test_a_version_is_whole_and_loads(registry, tmp_path, model):
    version, is_new = versions.register(registry, "toy", model, {"AP": 0.5}, {"run": "abc"})
    assert is_new
    assert (str(version), version.location) == ("toy@1", f"{registry}/toy/1")
    assert version.metrics == {"AP": 0.5}
    assert version.provenance["run"] == "abc"
    files = _content(version.location)
    assert _content(str(model)).items() <= files.items()
    added = set(files) - set(_content(str(model))) - {"CLAIM"}
    assert added == {"metrics.json", "provenance.json", "README.md", "version.json"}
    assert set(version.hashes) == set(files) - {"CLAIM", "version.json"}
    assert version.hashes["model.safetensors"] == version.provenance["weights_sha256"]
    assert b"| AP | 0.500 |" in files["README.md"]
    OmniDet.from_pretrained(version.folder(tmp_path / "cache"))


def test_versions_count_up_and_old_ones_stay_as_they_are(registry, model, monkeypatch):
    first, _ = versions.register(registry, "toy", model, {"AP": 0.1}, {})
    before = _content(first.location)
    assert versions.register(registry, "toy", model, {"AP": 0.2}, {})[0].number == 2
    with monkeypatch.context() as patch:
        patch.setattr(versions, "_next_number", lambda *_: 9)
        versions.register(registry, "toy", model, {"AP": 0.9}, {})
    assert versions.register(registry, "toy", model, {"AP": 1.0}, {})[0].number == 10
    assert _content(first.location) == before
    assert [v.number for v in versions.versions(registry, "toy")] == [
        1,
        2,
        9,
        10,
    ]  # not by their text
    assert versions.find(registry, "toy").number == 10


def test_the_same_again_is_the_version_that_is_there(registry, tmp_path, model):
    first, _ = versions.register(registry, "toy", model, {"AP": 0.5, "none": float("nan")}, {})
    before = _content(registry)
    again, is_new = versions.register(
        registry, "toy", model, {"none": float("nan"), "AP": 0.5}, {"run": "later"}
    )
    assert (again, is_new) == (first, False)
    assert _content(registry) == before
    measured_otherwise, is_new = versions.register(registry, "toy", model, {"AP": 0.6}, {})
    assert (measured_otherwise.number, is_new) == (2, True)
    toys.write_bundle(tmp_path / "other", 1)
    trained_otherwise, is_new = versions.register(
        registry, "toy", tmp_path / "other", {"AP": 0.6}, {}
    )
    assert (trained_otherwise.number, is_new) == (3, True)
    assert versions.register(registry, "second", model, {"AP": 0.6}, {})[1]
    assert versions.models(registry) == ["second", "toy"]


def test_a_number_that_another_process_takes_in_between_is_not_overwritten(
    registry, model, monkeypatch
):
    """The race, made certain: the other one's version comes after the number was chosen."""
    first, _ = versions.register(registry, "toy", model, {"AP": 0.5}, {})
    before = _content(first.location)
    monkeypatch.setattr(versions, "_next_number", lambda *_: 1)
    version, is_new = versions.register(registry, "toy", model, {"AP": 0.9}, {})
    assert (version.number, is_new) == (2, True)
    assert _content(first.location) == before
    assert version.metrics == {"AP": 0.9}
    assert json.loads(storage.read_text(f"{version.location}/version.json"))["number"] == 2


def test_what_stands_in_the_way_is_stepped_over(registry, model):
    storage.write_text(f"{registry}/toy/4", "a file with a number for its name")
    storage.write_text(f"{registry}/toy/07/version.json", "{}")
    storage.write_text(f"{registry}/toy/notes/version.json", "{}")
    version, _ = versions.register(registry, "toy", model, {}, {})
    assert version.number == 5
    assert versions.versions(registry, "toy") == [version]


@pytest.mark.s3
def test_a_claim_is_no_version_and_its_number_is_not_given_again(s3, model, monkeypatch):
    registry = f"{s3.uri}/registry"

    def lost(*_: object) -> None:
        raise ConnectionError("the object store is gone")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes", lost)  # the last of its steps
        with pytest.raises(ConnectionError):
            versions.register(registry, "toy", model, {}, {})
    assert {"CLAIM", "model.safetensors"} <= set(storage.list_files(f"{registry}/toy/1"))
    assert versions.versions(registry, "toy") == versions.models(registry) == []
    with pytest.raises(ValueError, match="no model 'toy'"):
        versions.find(registry, "toy")
    half = _content(f"{registry}/toy/1")
    version, is_new = versions.register(registry, "toy", model, {}, {})
    assert (version.number, is_new) == (2, True)
    assert versions.versions(registry, "toy") == [version]
    assert _content(f"{registry}/toy/1") == half


@pytest.mark.slow
def test_two_processes_at_once_get_two_numbers(registry, tmp_path, request):
    code = (
        "import sys, time, pathlib\nfrom omnidet.registry import versions\n"
        "registry, root, model, mark = sys.argv[1], *(pathlib.Path(a) for a in sys.argv[2:])\nmark.touch()\n"
        "while len(list(root.glob('ready*'))) < 2: time.sleep(0.005)\n"
        "print(versions.register(registry, 'toy', model, {}, {})[0].number)\n"
    )
    environment, started = dict(os.environ), []
    if storage.is_s3(registry):  # Swift itself looks and writes in two steps
        front = request.getfixturevalue("one_at_a_time")
        environment["AWS_ENDPOINT_URL"] = front.endpoint
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
def test_killed_in_the_middle_leaves_no_version(registry, tmp_path, model):
    code = (
        "import os, sys, signal, pathlib\nfrom omnidet.registry import versions\n"
        "versions._card = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "versions.register(sys.argv[1], 'toy', pathlib.Path(sys.argv[2]), {}, {})\n"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    killed = subprocess.run(
        [sys.executable, "-c", code, registry, str(model)], cwd=ROOT, timeout=240, env=environment
    )
    assert killed.returncode == -signal.SIGKILL
    assert storage.list_files(f"{registry}/toy")  # the stage or the claim is there
    assert versions.versions(registry, "toy") == versions.models(registry) == []
    version, _ = versions.register(registry, "toy", model, {}, {})
    assert version.number == (2 if storage.is_s3(registry) else 1)
    assert versions.models(registry) == ["toy"]


def test_a_failure_leaves_no_version(registry, tmp_path, model, monkeypatch):
    def full(*_arguments: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(versions, "_card", full)
    with pytest.raises(OSError, match="No space left"):
        versions.register(registry, "toy", model, {}, {})
    left = storage.list_files(f"{registry}/toy")
    assert left == (["1/CLAIM"] if storage.is_s3(registry) else [])
    assert versions.models(registry) == []


@pytest.mark.parametrize("name", ["", "Toy", "a b", "../toy", "-toy", "x" * 64, "toy@1", "toy\n"])
def test_bad_names(tmp_path, model, name):
    with pytest.raises(ValueError, match="use lower-case letters") as caught:
        versions.register(tmp_path / "registry", name, model, {}, {})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "registry").exists()
    assert versions.aliases(tmp_path / "registry", name) == {}
    with pytest.raises(ValueError, match="no alias champion of"):
        versions.rollback(tmp_path / "registry", name)


@pytest.mark.parametrize("part", ["model.safetensors", "config.json", "vocabulary/idf.safetensors"])
def test_a_damaged_detector_is_refused(tmp_path, model, part):
    (model / part).write_bytes((model / part).read_bytes()[:50])
    with pytest.raises(ValueError, match=part.partition("/")[0].partition(".")[0]):
        versions.register(tmp_path / "registry", "toy", model, {}, {})
    assert not (tmp_path / "registry").exists()


def test_find(registry, model):
    with pytest.raises(ValueError, match=r"no model 'toy' in .*registry: it holds nothing"):
        versions.find(registry, "toy")
    for ap in (0.1, 0.2, 0.3):
        versions.register(registry, "toy", model, {"AP": ap}, {})
    assert versions.find(registry, "toy").metrics == {"AP": 0.3}
    assert versions.find(registry, "toy@2").metrics == {"AP": 0.2}
    with pytest.raises(
        ValueError, match=r"no version 9 of 'toy' in .*: it has 1 to 3, and aliases: none"
    ):
        versions.find(registry, "toy@9")
    with pytest.raises(ValueError, match=r"no model 'other' in .*: it holds toy"):
        versions.find(registry, "other@1")
    with pytest.raises(ValueError, match="no alias champion of 'toy'"):
        versions.find(registry, "toy@champion")
    for nonsense in ("toy@", "toy@01", "toy@None", "toy@../2"):
        with pytest.raises(ValueError, match="no alias"):
            versions.find(registry, nonsense)
    versions.promote(registry, "toy", 1)
    assert versions.find(registry, "toy@champion").metrics == {"AP": 0.1}
    with pytest.raises(ValueError, match=r"it has 1 to 3, and aliases: champion \(1\)"):
        versions.find(registry, "toy@challenger")


def test_promote_and_rollback(registry, model):
    for ap in (0.1, 0.2, 0.3):
        versions.register(registry, "toy", model, {"AP": ap}, {})
    before = _content(registry)
    assert versions.aliases(registry, "toy") == {}
    assert versions.promote(registry, "toy", 1).number == 1
    for number in (3, 3, 2):  # the same again is no step that could be taken back
        versions.promote(registry, "toy", number)
    versions.promote(registry, "toy", 3, "challenger")
    assert versions.aliases(registry, "toy") == {"challenger": 3, "champion": 2}
    pointer = json.loads(storage.read_text(f"{registry}/toy/aliases/champion/00000003.json"))
    assert (pointer["version"], pointer["history"]) == (2, [1, 3])
    assert versions.models(registry) == ["toy"]
    assert [versions.rollback(registry, "toy").number for _ in range(2)] == [3, 1]
    with pytest.raises(ValueError, match="toy@champion has no version before 1: promote another"):
        versions.rollback(registry, "toy")
    assert versions.aliases(registry, "toy") == {"challenger": 3, "champion": 1}
    assert {
        name: content for name, content in _content(registry).items() if "aliases" not in name
    } == before


def test_wrong_promotions(registry, model):
    versions.register(registry, "toy", model, {}, {})
    with pytest.raises(ValueError, match="no version 2 of 'toy'"):
        versions.promote(registry, "toy", 2)
    with pytest.raises(ValueError, match="no model 'other'"):
        versions.promote(registry, "other", 1)
    for alias in ("", "3", "Champion", "a/b", "../toy"):
        with pytest.raises(ValueError, match="a letter first"):
            versions.promote(registry, "toy", 1, alias)
        with pytest.raises(ValueError, match="no alias"):
            versions.rollback(registry, "toy", alias)
    with pytest.raises(ValueError, match=r"no alias champion of 'toy' in .*: it has aliases: none"):
        versions.rollback(registry, "toy")
    assert versions.aliases(registry, "toy") == {}


def _place_versions(registry: str, count: int) -> None:
    """What an alias may point to: its index makes a folder a version."""
    for number in range(1, count + 1):
        storage.write_text(f"{registry}/toy/{number}/version.json", "{}")


def test_the_changes_of_an_alias_are_its_story(registry):
    """Every file that was written stays as it is, a way back too."""
    _place_versions(registry, 2)
    kept: dict[str, bytes] = {}
    for change in (
        lambda: versions.promote(registry, "toy", 1),
        lambda: versions.promote(registry, "toy", 2),
    ):
        change()
        kept |= _content(f"{registry}/toy/aliases")
    versions.rollback(registry, "toy")
    now = _content(f"{registry}/toy/aliases")
    assert kept.items() <= now.items()
    story = [json.loads(now[f"champion/0000000{number}.json"]) for number in (1, 2, 3)]
    assert [step["version"] for step in story] == [1, 2, 1]
    assert len(now) == 3


def test_an_alias_of_the_first_layout_is_read_and_gone_on_from(registry):
    _place_versions(registry, 3)
    storage.write_text(
        f"{registry}/toy/aliases/champion.json", json.dumps({"version": 2, "history": [1]})
    )
    assert versions.aliases(registry, "toy") == {"champion": 2}
    assert versions.promote(registry, "toy", 3, expected=2).number == 3
    assert versions.aliases(registry, "toy") == {"champion": 3}
    assert [versions.rollback(registry, "toy").number for _ in range(2)] == [2, 1]


def test_promote_what_was_compared_or_nothing(registry):
    _place_versions(registry, 3)
    with pytest.raises(
        ValueError,
        match=r"toy@champion points to nothing, not to version 3 as expected: compare toy@1 with",
    ):
        versions.promote(registry, "toy", 1, expected=3)
    assert versions.aliases(registry, "toy") == {}
    versions.promote(registry, "toy", 1, expected=None)
    versions.promote(registry, "toy", 2, expected=1)
    for stale in (1, None):
        with pytest.raises(
            ValueError, match=r"points to version 2, not to (version 1|nothing) as expected"
        ) as caught:
            versions.promote(registry, "toy", 3, expected=stale)
        assert "\n" not in str(caught.value)
    versions.promote(
        registry, "toy", 2, expected=1
    )  # the same once more, as by a step that is tried again
    assert versions.aliases(registry, "toy") == {"champion": 2}
    assert versions.rollback(registry, "toy").number == 1


@pytest.mark.parametrize("expecting", [False, True])
def test_promotions_at_once_come_one_after_the_other(registry, request, monkeypatch, expecting):
    """None is lost from the history; of those that expect the same champion exactly one is made."""
    if storage.is_s3(registry):  # Swift itself looks and writes in two steps
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("one_at_a_time").endpoint)
        s3_client.forget()
    _place_versions(registry, 6)
    versions.promote(registry, "toy", 1)
    together = threading.Barrier(5)

    def promote(number: int) -> bool:
        together.wait()
        try:
            versions.promote(registry, "toy", number, **({"expected": 1} if expecting else {}))
        except ValueError as error:
            return "as expected" not in str(error)
        return True

    with ThreadPoolExecutor(5) as pool:
        done = list(pool.map(promote, range(2, 7)))
    last = versions.aliases(registry, "toy")["champion"]
    back = [last]
    while back[-1] != 1:
        back.append(versions.rollback(registry, "toy").number)
    assert sorted(back) == ([1, last] if expecting else [1, 2, 3, 4, 5, 6])
    assert done.count(True) == (1 if expecting else 5)


def test_two_who_undo_the_same_promotion_do_not_undo_two(registry, monkeypatch):
    _place_versions(registry, 3)
    for number in (1, 2, 3):
        versions.promote(registry, "toy", number)
    seen = pointers.read(registry, "toy", "champion")
    assert versions.rollback(registry, "toy").number == 2
    with monkeypatch.context() as patch:
        patch.setattr(pointers, "read", lambda *_: seen)  # the other one looked before
        with pytest.raises(ValueError, match="was changed by another in this moment"):
            versions.rollback(registry, "toy")
    assert versions.aliases(registry, "toy") == {"champion": 2}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "is not of the form"),
        ('{"version": "2"}', "is not of the form"),
    ],
)
def test_a_damaged_alias_is_named(registry, content, reason):
    _place_versions(registry, 1)
    versions.promote(registry, "toy", 1)
    storage.write_text(f"{registry}/toy/aliases/champion/00000002.json", content)
    with pytest.raises(
        ValueError,
        match=rf"aliases/champion/00000002.json {reason}.*: remove it and promote a version",
    ):
        versions.find(registry, "toy@champion")
    storage.remove(f"{registry}/toy/aliases/champion/00000002.json")
    assert versions.find(registry, "toy@champion").number == 1


def test_a_registered_version_can_be_read_by_others(tmp_path):
    toys.write_bundle(tmp_path / "model")  # some of its files are private
    version, _ = versions.register(
        tmp_path / "registry", "toy", tmp_path / "model", {"AP": 0.5}, {}
    )
    modes = {
        path.name: path.stat().st_mode & 0o444
        for path in Path(version.location).rglob("*")
        if path.is_file()
    }
    assert set(modes.values()) == {0o444}, modes
