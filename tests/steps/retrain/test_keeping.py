"""What must not drop: the user's own data, whatever is named, and nothing of a drawn world."""

from __future__ import annotations

import pytest

from omnidet import config
from omnidet.data import shard_writer, shards
from omnidet.recipes import by_name
from omnidet.steps.retrain import BY_PARAMETER, keeping
from tests import toys
from tests.steps.retrain import lines

METRICS = {"coco/AP": 0.5, "coco/AP50": 0.7, "refcocog/AIGT": 0.8, "cups/AP": 0.6}


@pytest.fixture
def champion(tmp_path):
    return lines.version(tmp_path, 2, METRICS, [lines.lesson("cups", "cups@1")])


def _kept(champion, recipe: str, *keep: str) -> keeping.Kept:
    changed = config.override(by_name(recipe), *keep)
    return keeping.kept(champion, changed, "keys")


def test_a_drawn_world_is_not_the_users(champion):
    kept = _kept(champion, "tiny_world")
    assert kept.drops == {"cups": 0.02}
    assert kept.left_out == ("coco", "refcocog")
    for part in ("cups by 0.02", "coco, refcocog", "--keep coco"):
        assert part in kept.describe()


def test_what_is_no_drawn_world_is_kept(champion):
    assert set(_kept(champion, "photographs").drops) == {"coco", "refcocog", "cups"}


@pytest.mark.parametrize(
    ("keep", "drops"),
    [
        ('["coco"]', {"coco": 0.02, "cups": 0.02}),
        ('["coco=0.1","cups=0.3"]', {"coco": 0.1, "cups": 0.3}),
        ('["all","coco=0.1"]', {"coco": 0.1, "refcocog": 0.02, "cups": 0.02}),
        ('["none"]', {}),
        ('["none","refcocog=0"]', {"refcocog": 0.0}),
    ],
)
def test_what_is_named(champion, keep, drops):
    assert _kept(champion, "tiny_world", f"retrain.keep={keep}").drops == drops


def test_the_new_dataset_is_judged_by_its_gain(tmp_path):
    taught_before = lines.version(tmp_path, 1, {"keys/AP": 0.3, "cups/AP": 0.2})
    assert _kept(taught_before, "photographs").drops == {"cups": 0.02}


def test_a_name_that_was_never_measured(champion):
    with pytest.raises(ValueError, match=r"'cocoa'.*coco, refcocog, cups"):
        _kept(champion, "tiny_world", 'retrain.keep=["cocoa"]')


@pytest.mark.parametrize("entry", ["coco=", "=0.1", "coco=much", "coco=nan", "coco=-1", "coco=1.5"])
def test_an_entry_that_is_none(entry):
    with pytest.raises(ValueError, match=r"retrain\.keep"):
        config.override(by_name("tiny_world"), f'retrain.keep=["{entry}"]')


def test_what_is_kept_must_be_among_what_is_replayed(champion, tmp_path):
    """Else the gate refuses what was trained, whatever it reached."""
    written = {"eval/coco": shard_writer.write_set(toys.records(), tmp_path, "eval/coco", 4)}
    shards.write_index(tmp_path, written, {}, {})
    place = str(tmp_path)
    recipe = config.override(by_name("tiny_world"), 'retrain.keep=["coco"]')
    said = rf"{place} .* cups, .*--keep none --keep coco"
    with pytest.raises(ValueError, match=said) as caught:
        keeping.require_measured(champion, recipe, "new", place)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r'retrain\.keep=\["none", "coco"\]'):
        keeping.require_measured(champion, recipe, "new", place, BY_PARAMETER)
    keeping.require_measured(champion, recipe, "cups", place)  # its own, which is new
    keeping.require_measured(champion, recipe, "new", None)
    only = config.override(by_name("tiny_world"), 'retrain.keep=["none", "coco"]')
    keeping.require_measured(champion, only, "new", place)


def test_the_line_of_descent(tmp_path):
    lines.version(tmp_path, 1, {"cups/AP": 0.6})
    lines.version(tmp_path, 2, {"cups/AP": 0.59, "keys/AP": 0.4})
    taught = [lines.lesson("cups", ""), lines.lesson("keys", "cups@1")]
    champion = lines.version(
        tmp_path, 4, {"cups/AP": 0.5, "keys/AP": 0.3}, [*taught, lines.lesson("x", "cups@2"),
                                                        lines.lesson("y", "cups@3")]
    )  # fmt: skip
    line, missing = keeping.line_of(champion)
    assert [v.number for v in line] == [1, 2, 4]
    assert missing == ["cups@3"]
    firsts = keeping.firsts(line)
    assert {key: (value, v.number) for key, (value, v) in firsts.items()} == {
        "cups/AP": (0.6, 1),
        "keys/AP": (0.4, 2),
    }
