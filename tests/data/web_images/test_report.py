"""The report of a folder of shards."""

from __future__ import annotations

import json

import pytest

from omnidet.data.web_images.report import describe, read_checked, shard_stats, write_report


def write_stats(out, number, **changed):
    stats = {"rows": 10, "kept": 4, "size_bytes": 100, "reasons": {"HTTP 404": 6}, "hashes": []}
    (out / "stats").mkdir(exist_ok=True)
    path = out / "stats" / f"{number:06d}.json"
    path.write_text(json.dumps({**stats, **changed}), encoding="utf-8")


def test_shards_are_summed_up(tmp_path):
    write_stats(tmp_path, 1)
    write_stats(tmp_path, 0, kept=0, size_bytes=0, reasons={"too small": 9, "HTTP 404": 1})
    report = write_report(tmp_path)
    assert report == {
        "shards": 2,
        "rows": 20,
        "kept": 4,
        "bytes": 100,
        "kept_share": 0.2,
        "refused": {"too small": 9, "HTTP 404": 7},
    }
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report
    assert describe(report).splitlines() == [
        "4 of 20 pictures in 2 shards (20.0%)",
        "         9  too small",
        "         7  HTTP 404",
    ]
    assert [path.stem for path, _ in shard_stats(tmp_path)] == ["000000", "000001"]


def test_a_folder_without_shards(tmp_path):
    assert write_report(tmp_path)["kept_share"] == 0
    assert describe(write_report(tmp_path)) == "0 of 0 pictures in 0 shards (0.0%)"


@pytest.mark.parametrize("changed", [{"rows": "many"}, {"reasons": []}])
def test_a_damaged_file_is_named_with_its_field_and_the_remedy(tmp_path, changed):
    write_stats(tmp_path, 3, **changed)
    with pytest.raises(ValueError, match=rf"000003\.json .*{next(iter(changed))}.*remove it"):
        write_report(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 100_000])
def test_what_is_not_json_or_lacks_a_field_is_named(tmp_path, content):
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.json .*: do this"):
        read_checked(tmp_path / "a.json", {"rows": int}, "do this")
