"""Settings of a run, and the file that keeps a folder to them."""

from __future__ import annotations

import json

import pytest

from omnidet.data.web_images import settings
from omnidet.data.web_images.checks import Taste
from omnidet.data.web_images.settings import Options


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "list.tsv").write_text("url\tcaption\nhttp://a/\ta\n", encoding="utf-8")
    return [tmp_path / "list.tsv"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (Options(workers=0), "workers 0"),
        (Options(rows_per_shard=-1), "rows_per_shard -1"),
        (Options(part=2, parts=2), "part 2 of 2"),
        (Options(part=-1), "part -1 of 1"),
    ],
)
def test_numbers_that_make_no_sense_are_named(options, problem):
    with pytest.raises(ValueError, match=problem):
        settings.check(options)
    settings.check(Options(part=1, parts=2))


def test_what_changes_the_shards_is_a_setting_and_the_rest_is_not(paths):
    plain = settings.as_dict(paths, Options())
    assert settings.as_dict(paths, Options(workers=7, dead_links=True, part=1)) == plain
    for changed in (
        Options(rows_per_shard=1),
        Options(parts=2),
        Options(digest_column="url"),
        Options(near_copies=False),
        Options(taste=Taste(min_side=1)),
    ):
        assert settings.as_dict(paths, changed) != plain
    paths[0].write_text("url\tcaption\nhttp://b/\ta\n", encoding="utf-8")
    assert settings.as_dict(paths, Options()) != plain


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ValueError, match=r"thesis\.txt"):
        settings.prepare(tmp_path, {"parts": 1})


def test_settings_may_change_until_there_is_a_shard(tmp_path):
    out = tmp_path / "out"
    settings.prepare(out, {"parts": 2, "near_copies": True})
    settings.require_same(out, {"parts": 2, "near_copies": True}, 0)
    changed = {"parts": 2, "near_copies": False}
    with (
        settings.locked(out, 1, "busy"),
        pytest.raises(ValueError, match="near_copies True, now False"),
    ):
        settings.require_same(out, changed, 0)
    settings.require_same(out, changed, 0)
    assert json.loads((out / "fetch.json").read_text(encoding="utf-8")) == changed
    (out / "000000.tar").touch()
    with pytest.raises(ValueError, match="parts 2, now 1"):
        settings.require_same(out, {"parts": 1, "near_copies": False}, 0)


def test_a_part_is_fetched_by_one_process(tmp_path):
    with settings.locked(tmp_path, 0, "busy"):
        with settings.locked(tmp_path, 1, "busy"):
            pass
        with pytest.raises(ValueError, match="busy"), settings.locked(tmp_path, 0, "busy"):
            pass
