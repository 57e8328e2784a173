"""The steps of a retraining, as far as they need no training."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from omnidet import config, storage
from omnidet.data import shards
from omnidet.data.annotated.config import ReadConfig
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.recipes import by_name
from omnidet.recipes.photographs import of_folder
from omnidet.recipes.recipe import RetrainConfig
from omnidet.registry import versions
from omnidet.registry.versions import Version
from omnidet.steps import retrain
from tests import toys
from tests.registry.conftest import place_versions
from tests.steps.retrain import cells_folder, lines


def _champion(folder: Path, name: str, **provenance) -> Version:
    (folder / "provenance.json").write_text(json.dumps(provenance))
    lines.seal(folder)
    return Version(name, 1, str(folder))


def test_a_recipe_that_registers_under_the_name_comes_first(tmp_path):
    champion = _champion(
        tmp_path, "omnidet-tiny-world", recipe=config.describe(by_name("coco_folder"))
    )
    found = retrain.base_recipe(champion, ["retrain.steps=7"])
    assert found == config.override(by_name("tiny_world"), "retrain.steps=7")


def test_otherwise_the_one_that_the_champion_carries_without_how_it_was_judged(tmp_path):
    carried = of_folder(by_name("photographs"), "cups")
    new = dataclasses.replace(carried.streams[0], name="new", weight=3.0)
    lax = config.override(
        dataclasses.replace(carried, streams=(*carried.streams, new)),
        *("retrain.min_ap50=0", "gate.max_drop=1", "model.embedding_width=64"),
        *("train.score_images=1", "train.score_every=7"),
    )
    found = retrain.base_recipe(_champion(tmp_path, "cups", recipe=config.describe(lax)), [])
    assert found.model == lax.model
    assert found.retrain == by_name("photographs").retrain
    assert found.gate == carried.gate
    assert found.train == carried.train  # not by the few pictures that the first run had time for
    assert {s.name: s.weight for s in found.streams} == {"det": 1.0, "earlier_1": 1.0}
    light = (dataclasses.replace(carried.streams[0], weight=0.3), new)
    for backbone, weight in (("timm_features", 1.0), ("conv_stem_vit", 0.3)):
        taught = config.override(
            dataclasses.replace(carried, streams=light), f"model.backbone={backbone}"
        )
        again = retrain.base_recipe(_champion(tmp_path, "cups", recipe=config.describe(taught)), [])
        assert {s.name: s.weight for s in again.streams} == {"det": weight, "earlier_1": 1.0}


def test_a_later_state_of_what_was_taught_takes_the_place_of_the_earlier_one(tmp_path):
    own = of_folder(by_name("photographs"), "cups")
    new = dataclasses.replace(own.streams[0], name="new", sets=("train/cells",))
    measured = (*own.evaluation.benchmarks, Benchmark("cells", "coco", "eval/cells"))
    carried = dataclasses.replace(
        own, streams=(*own.streams, new), evaluation=EvaluationConfig(measured)
    )
    taught = [lines.lesson("cups", ""), lines.lesson("cells", "cups@1")]
    champion = _champion(tmp_path, "cups", recipe=config.describe(carried), taught=taught)

    def sets(dataset: str) -> list[str]:
        found = retrain.base_recipe(champion, [], dataset)
        assert sum(s.images_per_step for s in found.streams) == 16
        assert {f"train/{b.name}" for b in found.evaluation.benchmarks} == {
            name for stream in found.streams for name in stream.sets
        }
        return [name for stream in found.streams for name in stream.sets]

    assert sets("plates") == ["train/cups", "train/cells"]
    assert sets("cells") == ["train/cups"]
    assert sets("cups") == ["train/cells"]


def test_shards_that_a_later_run_wrote_into_the_place_of_the_champions_are_said(tmp_path):
    index = toys.write_shards(tmp_path / "shards")
    place, other = str(tmp_path / "shards"), str(tmp_path / "out" / "shards")
    for name in ("same", "other"):
        (tmp_path / name).mkdir()
    same = _champion(tmp_path / "same", "cups", dataset_version=index.dataset_version)
    assert retrain.doubt_of_replay(same, place, other) == ""
    champion = _champion(tmp_path / "other", "cups", dataset_version="0" * 64)
    said = retrain.doubt_of_replay(champion, place, other)
    assert place in said
    assert "cups@1" in said
    # The run itself has been there, and goes on.
    assert retrain.doubt_of_replay(champion, place, f"{place}/../shards") == ""
    assert retrain.doubt_of_replay(champion, None, other) == ""


def test_another_network_than_the_recipe_s_learns_whole(tmp_path):
    """How many layers learn was tried on that one alone, and others have fewer."""
    carried = of_folder(by_name("photographs"), "cups")
    other = config.override(carried, "model.backbone.name=resnet18")
    champion = _champion(tmp_path, "cups", recipe=config.describe(other))
    own = by_name("photographs").retrain
    assert retrain.base_recipe(champion, []).retrain == dataclasses.replace(own, frozen_layers=0)


def test_a_vision_transformer_is_taught_at_the_usual_rates(tmp_path):
    champion = _champion(tmp_path, "cups", recipe=config.describe(by_name("coco_folder")))
    assert retrain.base_recipe(champion, []).retrain == RetrainConfig()


@pytest.mark.parametrize("provenance", [{}, {"recipe": {"model": 3}}, {"recipe": {"old": 1}}])
def test_a_champion_without_a_recipe_that_can_be_read(provenance, tmp_path):
    with pytest.raises(ValueError, match=r"'cups'.*--recipe"):
        retrain.base_recipe(_champion(tmp_path, "cups", **provenance), [])


@pytest.mark.parametrize("name", ["cups", "a", "blood-cells_2"])
def test_names_of_datasets_end_where_another_sign_begins(name):
    retrain.check_name(name)
    with pytest.raises(ValueError, match="dataset name"):
        retrain.check_name(f"{name}!")


@pytest.mark.parametrize("name", ["", "Cups", "a b", "-a", "a" * 60, "../x"])
def test_names_that_no_metric_could_have(name):
    with pytest.raises(ValueError, match="dataset name"):
        retrain.check_name(name)


def test_the_version_of_data_is_that_of_its_contents(tmp_path):
    (tmp_path / "a.txt").write_text("1")
    first = retrain.data_version(str(tmp_path))
    assert retrain.data_version(str(tmp_path)) == first
    (tmp_path / "a.txt").write_text("2")
    assert retrain.data_version(str(tmp_path)) != first
    with pytest.raises(FileNotFoundError, match="nowhere"):
        retrain.data_version(str(tmp_path / "nowhere"))


def test_data_that_is_read_otherwise_is_other_data(tmp_path):
    """A corrected table of names would never be taught: `nothing new`."""
    data, names = tmp_path / "data", tmp_path / "names.yaml"
    data.mkdir()
    (data / "a.txt").write_text("1")
    names.write_text("BoltWasher: bolt\n")
    readings = ({}, {"exif": "upright"}, {"format": "voc"}, {"names": str(names)})
    versions = [retrain.data_version(str(data), ReadConfig(**reading)) for reading in readings]
    assert retrain.data_version(str(data)) == versions[0]
    names.write_text("BoltWasher: lock washer\n")
    versions.append(retrain.data_version(str(data), ReadConfig(names=str(names))))
    assert len(set(versions)) == len(versions)
    moved = names.rename(tmp_path / "moved.yaml")
    assert retrain.data_version(str(data), ReadConfig(names=str(moved))) == versions[-1]
    assert retrain.data_version(str(data), ReadConfig(max_lost=0.5)) == versions[0]


def test_which_of_several_models_is_said_in_words_that_can_be_pasted(tmp_path):
    for name in ("omnidet-tiny-world", "tools"):
        folder = tmp_path / name / "1"
        folder.mkdir(parents=True)
        (folder / "provenance.json").write_text("{}")
        lines.seal(folder)
    with pytest.raises(ValueError, match="tools") as refused:
        retrain.find_champion(str(tmp_path), "champion")
    for part in ("--from omnidet-tiny-world@champion", "--from photo-small"):
        assert part in str(refused.value)
    with pytest.raises(ValueError, match="tools") as refused:
        retrain.find_champion(str(tmp_path), "champion", retrain.BY_PARAMETER)
    for part in ("champion=omnidet-tiny-world@champion", "backbone=photo-small"):
        assert part in str(refused.value)
    assert str(retrain.find_champion(str(tmp_path), "tools@champion")) == "tools@1"


def test_a_dataset_that_is_as_it_was_before_the_last_lesson_is_new(tmp_path):
    """Who takes a correction back wants the detector to learn what the files say now."""
    cells = cells_folder.draw(tmp_path / "cells")
    before = retrain.data_version(str(cells))
    taught = [
        lines.lesson("cells", "") | {"data_version": before},
        lines.lesson("cells", "cups@1") | {"data_version": "corrected"},
        lines.lesson("plates", "cups@2") | {"data_version": before},
    ]

    def noticed(*lessons: dict[str, str]) -> retrain.Notice:
        registry = tmp_path / str(len(lessons))
        lines.version(registry, 1, {}, list(lessons))
        return retrain.notice(str(cells), str(registry), "champion", "cells")

    assert noticed(*taught).is_new
    assert "it knows cells corrected" in noticed(*taught[:2]).why
    assert not noticed(taught[0]).is_new


@pytest.mark.parametrize(
    ("remedies", "named"),
    [
        (retrain.BY_OPTION, ("--from NAME@champion", "--as NAME")),
        (retrain.BY_PARAMETER, ("champion=NAME@champion", "register.name=NAME")),
    ],
)
def test_another_version_than_the_champion_is_refused_before_anything_is_trained(
    tmp_path, remedies, named
):
    place_versions(str(tmp_path), 2)
    (name,) = versions.models(tmp_path)
    versions.promote(tmp_path, name, 2)
    first, second = versions.versions(tmp_path, name)
    retrain.require_current(str(tmp_path), second, remedies)
    with pytest.raises(ValueError, match=f"{name}@2 is") as refused:
        retrain.require_current(str(tmp_path), first, remedies)
    for remedy in (named[0].replace("NAME", name), named[1]):
        assert remedy in str(refused.value)


@pytest.mark.parametrize(
    ("remedies", "ways"),
    [
        (retrain.BY_OPTION, ("--replay FOLDER", "--replay none")),
        (retrain.BY_PARAMETER, ("retrain.replay=FOLDER", "retrain.replay=none")),
    ],
)
def test_shards_that_are_not_there_are_named_with_what_can_be_done(tmp_path, remedies, ways):
    """Also those of an earlier run, which only the index of the last one names."""
    old, new = (toys.write_shards(tmp_path / name) for name in ("old", "new"))
    renamed = {f"{name}-2": members for name, members in new.sets.items()}
    combined = shards.combine(tmp_path / "both", [old, dataclasses.replace(new, sets=renamed)])
    place = tmp_path / "toy"
    place.mkdir()
    champion = _champion(place, "toy", shards=combined.location)
    assert retrain.replay_of(champion, None, remedies) == combined.location
    (tmp_path / "old").rename(tmp_path / "moved")
    for lost in (f"{tmp_path}/old/", f"not at {combined.location}"):
        with pytest.raises(ValueError, match=lost) as refused:
            retrain.replay_of(champion, None, remedies)
        for way in ways:
            assert way in str(refused.value)
        Path(combined.location, storage.INDEX_NAME).unlink(missing_ok=True)
    assert retrain.replay_of(champion, "none", remedies) is None
