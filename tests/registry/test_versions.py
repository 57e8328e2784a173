"""Versions that never change, and their aliases: the same in a folder and on an object store."""

from __future__ import annotations

import json
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from omnidet import s3_client, storage
from omnidet.model.confidence import Confidence
from omnidet.registry import pointers, publish, versions
from tests import toys
from tests.registry.conftest import content, place_versions


def test_a_version_says_what_it_is(registry, model):
    version, is_new = versions.register(registry, "toy", model, {"AP": 0.5}, {"run": "abc"})
    assert is_new
    assert (str(version), version.location) == ("toy@1", f"{registry}/toy/1")
    assert version.metrics == {"AP": 0.5}
    assert version.provenance["run"] == "abc"
    assert version.hashes["model.safetensors"] == version.provenance["weights_sha256"]


def test_versions_count_up_and_old_ones_stay_as_they_are(registry, model, monkeypatch):
    first, _ = versions.register(registry, "toy", model, {"AP": 0.1}, {})
    before = content(first.location)
    assert versions.register(registry, "toy", model, {"AP": 0.2}, {})[0].number == 2
    with monkeypatch.context() as patch:
        patch.setattr(publish, "_next_number", lambda *_: 9)
        versions.register(registry, "toy", model, {"AP": 0.9}, {})
    assert versions.register(registry, "toy", model, {"AP": 1.0}, {})[0].number == 10
    assert content(first.location) == before
    numbers = [version.number for version in versions.versions(registry, "toy")]
    assert numbers == [1, 2, 9, 10]  # sorted as numbers, not as text
    assert versions.find(registry, "toy").number == 10


def test_the_same_again_is_the_same_version(registry, tmp_path, model):
    nan = float("nan")
    first, _ = versions.register(registry, "toy", model, {"AP": 0.5, "none": nan}, {})
    before = content(registry)
    metrics = {"none": nan, "AP": 0.5}
    again = versions.register(registry, "toy", model, metrics, {"run": "later"})
    assert again == (first, False)
    assert content(registry) == before
    measured_otherwise, is_new = versions.register(registry, "toy", model, {"AP": 0.6}, {})
    assert (measured_otherwise.number, is_new) == (2, True)
    other = tmp_path / "other"
    toys.write_bundle(other, 1)
    trained_otherwise, is_new = versions.register(registry, "toy", other, {"AP": 0.6}, {})
    assert (trained_otherwise.number, is_new) == (3, True)
    assert versions.register(registry, "second", model, {"AP": 0.6}, {})[1]
    assert versions.models(registry) == ["second", "toy"]


def test_the_same_weights_with_other_scores_are_another_version(registry, tmp_path):
    """Scores that were fitted again went by the threshold of the version before."""
    found = []
    for number, threshold in enumerate((0.3, 0.2, 0.2)):
        folder = tmp_path / f"fitted-{number}"
        toys.write_bundle(folder, confidence=Confidence(threshold=threshold))
        version, is_new = versions.register(registry, "toy", folder, {"AP": 0.5}, {})
        found.append((version.number, is_new))
    assert found == [(1, True), (2, True), (2, False)]


@pytest.mark.parametrize("name", ["", "Toy", "a b", "../toy", "-toy", "x" * 64, "toy@1", "toy\n"])
def test_bad_names(tmp_path, model, name):
    registry = tmp_path / "registry"
    with pytest.raises(ValueError, match="lower-case letters") as caught:
        versions.register(registry, name, model, {}, {})
    assert "\n" not in str(caught.value)
    assert not registry.exists()
    assert versions.aliases(registry, name) == {}
    with pytest.raises(ValueError, match="no alias champion"):
        versions.rollback(registry, name)


@pytest.mark.parametrize("place", [__file__, "gs://a/b", "http://host/registry"])
def test_bad_registries(place):
    with pytest.raises(ValueError, match=f"registry={place} is neither"):
        versions.check(place)


def test_a_registry_that_another_process_makes_meanwhile_is_a_registry(
    tmp_path, model, monkeypatch
):
    """The race, made certain: the folder appears after the first question about it."""
    place = tmp_path / "registry"
    asked = {"is_dir": Path.is_dir, "exists": Path.exists}

    def answers(question: str, path: Path) -> bool:
        answer = asked[question](path)
        if path == place:
            subprocess.run(["mkdir", "-p", str(place)], check=True)
        return answer

    for question in asked:
        monkeypatch.setattr(
            Path, question, lambda path, question=question, **_: answers(question, path)
        )
    assert versions.register(str(place), "toy", model, {}, {})[0].number == 1


@pytest.mark.parametrize("part", ["model.safetensors", "config.json", "vocabulary/idf.safetensors"])
def test_a_damaged_detector_is_refused(tmp_path, model, part):
    (model / part).write_bytes((model / part).read_bytes()[:50])
    with pytest.raises(ValueError, match=part.partition("/")[0].partition(".")[0]):
        versions.register(tmp_path / "registry", "toy", model, {}, {})
    assert not (tmp_path / "registry").exists()


def test_a_damaged_version_is_named(tmp_path, model):
    version, _ = versions.register(str(tmp_path / "registry"), "toy", model, {"AP": 0.5}, {})
    version.check_whole()
    folder = Path(version.location)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"toy@1 .*model\.safetensors"):
        version.check_whole()
    weights.unlink()
    with pytest.raises(ValueError, match=r"toy@1 .*model\.safetensors is missing"):
        version.check_whole()
    for text in ("{", "[]", '{"AP": "1"}', '{"AP": 0.4}'):
        (folder / "metrics.json").write_text(text)
        with pytest.raises(ValueError, match=r"toy@1 .*metrics\.json is not as it was registered"):
            _ = version.metrics
    (folder / "version.json").write_text("[]")
    with pytest.raises(ValueError, match=r"toy@1 .*version\.json is not a JSON object"):
        _ = version.metrics


def test_one_digit_of_the_numbers_stops_a_gate(tmp_path, model):
    """A detector half as good would follow a champion whose number lost its first digit."""
    version, _ = versions.register(str(tmp_path / "registry"), "toy", model, {"AP": 0.55}, {})
    path = Path(version.location) / "metrics.json"
    path.write_text(path.read_text().replace("0.55", "0.05"))
    with pytest.raises(ValueError, match=r"metrics\.json is not as it was registered"):
        versions.register(str(tmp_path / "registry"), "toy", model, {"AP": 0.2}, {})


@pytest.mark.parametrize("gone", ["aliases", "aliases/champion", "aliases/champion/00000002.json"])
def test_a_lost_alias_is_not_taken_for_none(registry, gone):
    place_versions(registry, 2)
    assert versions.aliases(registry, "toy") == {}  # never set
    for number in (1, 2):
        versions.promote(registry, "toy", number)
    for name in storage.list_files(f"{registry}/toy"):
        if name.startswith(gone):
            storage.remove(f"{registry}/toy/{name}")
    for ask in (
        lambda: versions.aliases(registry, "toy"),
        lambda: versions.find(registry, "toy@champion"),
        lambda: versions.rollback(registry, "toy"),
    ):
        with pytest.raises(ValueError, match=r"toy@champion .* is lost: .*promote toy@2"):
            ask()
    assert versions.find(registry, "toy@1").number == 1
    versions.promote(registry, "toy", 2, expected=2)
    assert versions.aliases(registry, "toy") == {"champion": 2}
    assert versions.rollback(registry, "toy").number == 1


def test_find(registry, model):
    with pytest.raises(ValueError, match=r"'toy' in .*registry, .* none: .*--registry"):
        versions.find(registry, "toy")
    for ap in (0.1, 0.2, 0.3):
        versions.register(registry, "toy", model, {"AP": ap}, {})
    assert versions.find(registry, "toy").metrics == {"AP": 0.3}
    assert versions.find(registry, "toy@2").metrics == {"AP": 0.2}
    with pytest.raises(ValueError, match=r"version 9 of 'toy' .* 1 to 3\b.*none"):
        versions.find(registry, "toy@9")
    with pytest.raises(ValueError, match=r"'other' in .*: it holds toy"):
        versions.find(registry, "other@1")
    with pytest.raises(ValueError, match="alias champion of 'toy'"):
        versions.find(registry, "toy@champion")
    for nonsense in ("toy@", "toy@01", "toy@None", "toy@../2"):
        with pytest.raises(ValueError, match="no alias"):
            versions.find(registry, nonsense)
    versions.promote(registry, "toy", 1)
    assert versions.find(registry, "toy@champion").metrics == {"AP": 0.1}
    with pytest.raises(ValueError, match=r"1 to 3, and aliases: champion \(1\)"):
        versions.find(registry, "toy@challenger")


@pytest.mark.parametrize("moment", range(5))
def test_the_champion_is_found_while_another_one_is_registered_and_promoted(
    tmp_path, monkeypatch, moment
):
    """Whatever was listed by then, it is neither missing nor lost."""
    registry, moments, listed = str(tmp_path), iter(range(5)), storage.list_files
    place_versions(registry, 1)
    versions.promote(registry, "toy", 1)

    def list_files(location):
        found = listed(location)
        if next(moments, None) == moment:
            place_versions(registry, 2)
            versions.promote(registry, "toy", 2)
        return found

    monkeypatch.setattr(storage, "list_files", list_files)
    assert versions.find(registry, "toy@champion").number in (1, 2)
    assert next(moments, None) is None, "each moment was met"
    assert versions.aliases(registry, "toy") == {"champion": 2}


def test_promote_and_rollback(registry, model):
    for ap in (0.1, 0.2, 0.3):
        versions.register(registry, "toy", model, {"AP": ap}, {})
    before = content(registry)
    assert versions.aliases(registry, "toy") == {}
    assert versions.promote(registry, "toy", 1).number == 1
    for number in (3, 3, 2):  # the same again is not a step that could be undone
        versions.promote(registry, "toy", number)
    versions.promote(registry, "toy", 3, "challenger")
    assert versions.aliases(registry, "toy") == {"challenger": 3, "champion": 2}
    pointer = json.loads(storage.read_text(f"{registry}/toy/aliases/champion/00000003.json"))
    assert (pointer["version"], pointer["history"]) == (2, [1, 3])
    assert versions.models(registry) == ["toy"]
    assert [versions.rollback(registry, "toy").number for _ in range(2)] == [3, 1]
    with pytest.raises(ValueError, match="toy@champion has no version before 1"):
        versions.rollback(registry, "toy")
    assert versions.aliases(registry, "toy") == {"challenger": 3, "champion": 1}
    others = {
        name: data
        for name, data in content(registry).items()
        if not name.startswith(("toy/aliases", "toy/promoted"))
    }
    assert others == before


def test_wrong_promotions(registry, model):
    versions.register(registry, "toy", model, {}, {})
    with pytest.raises(ValueError, match="version 2 of 'toy'"):
        versions.promote(registry, "toy", 2)
    with pytest.raises(ValueError, match="'other'"):
        versions.promote(registry, "other", 1)
    for alias in ("", "3", "Champion", "a/b", "../toy"):
        with pytest.raises(ValueError, match="a letter first"):
            versions.promote(registry, "toy", 1, alias)
        with pytest.raises(ValueError, match="no alias"):
            versions.rollback(registry, "toy", alias)
    with pytest.raises(ValueError, match=r"alias champion of 'toy' .* aliases: none"):
        versions.rollback(registry, "toy")
    assert versions.aliases(registry, "toy") == {}


def test_promote_what_was_compared_or_nothing(registry):
    place_versions(registry, 3)
    with pytest.raises(ValueError, match=r"toy@champion .* nothing.* 3.* toy@1"):
        versions.promote(registry, "toy", 1, expected=3)
    assert versions.aliases(registry, "toy") == {}
    versions.promote(registry, "toy", 1, expected=None)
    versions.promote(registry, "toy", 2, expected=1)
    for stale in (1, None):
        with pytest.raises(ValueError, match=r"version 2, not to (version 1|nothing)") as caught:
            versions.promote(registry, "toy", 3, expected=stale)
        assert "\n" not in str(caught.value)
    # The same once more, as by a step that is tried again.
    versions.promote(registry, "toy", 2, expected=1)
    assert versions.aliases(registry, "toy") == {"champion": 2}
    assert versions.rollback(registry, "toy").number == 1


@pytest.mark.parametrize("expecting", [False, True])
def test_promotions_at_once_take_effect_one_after_the_other(
    registry, request, monkeypatch, expecting
):
    """The history loses none; of those that expect the same champion exactly one takes effect."""
    if storage.is_s3(registry):
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("one_at_a_time").endpoint)
        s3_client.forget()
    place_versions(registry, 6)
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


def test_two_callers_who_undo_the_same_promotion_do_not_undo_two(registry, monkeypatch):
    place_versions(registry, 3)
    for number in (1, 2, 3):
        versions.promote(registry, "toy", number)
    seen = pointers.read(registry, "toy", "champion")
    assert versions.rollback(registry, "toy").number == 2
    with monkeypatch.context() as patch:
        patch.setattr(pointers, "read", lambda *_: seen)  # the other one looked before
        with pytest.raises(ValueError, match="toy@champion was changed"):
            versions.rollback(registry, "toy")
    assert versions.aliases(registry, "toy") == {"champion": 2}


def test_a_damaged_alias_is_named_until_it_is_removed(registry):
    place_versions(registry, 1)
    versions.promote(registry, "toy", 1)
    storage.write_text(f"{registry}/toy/aliases/champion/00000002.json", "{")
    with pytest.raises(ValueError, match=r"champion/00000002\.json"):
        versions.find(registry, "toy@champion")
    storage.remove(f"{registry}/toy/aliases/champion/00000002.json")
    assert versions.find(registry, "toy@champion").number == 1
