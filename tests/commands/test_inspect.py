"""`omnidet inspect`: the survey of a shard folder, printed and as a page."""

from __future__ import annotations

from omnidet import cli
from omnidet.data.sharding import survey
from tests import toys


def test_a_survey_and_its_page(place, tmp_path, capsys):
    page = tmp_path / "page.html"
    call = ["inspect", str(place / "shards"), "--html", str(page), "--samples", "2"]
    assert cli.main(call) == 0
    said = capsys.readouterr().out
    assert "train/coco" in said
    assert said.splitlines()[-1] == str(page)
    assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_the_vocabulary_reaches_the_survey(place, monkeypatch):
    given = []
    monkeypatch.setattr(survey, "survey", lambda _, words: given.append(words) or "found")
    monkeypatch.setattr(survey, "describe", lambda found: found)
    call = ["inspect", str(place / "shards")]
    assert cli.main(call) == 0
    assert cli.main([*call, "--vocabulary", str(place / "vocabulary")]) == 0
    assert given[0] is None
    assert given[1].content_hash == toys.toy_vocabulary().content_hash


def test_wrong_input(place, tmp_path, refused):
    assert f"{place}/nowhere" in refused("inspect", f"{place}/nowhere")
    assert "bad-index" in refused("inspect", f"{place}/bad-index")
    assert "--samples 0" in refused("inspect", f"{place}/shards", "--samples", "0")
    assert str(tmp_path) in refused("inspect", f"{place}/shards", "--html", str(tmp_path))
    (tmp_path / "photos").mkdir()
    assert f"finetune {tmp_path}/photos --dry-run" in refused("inspect", f"{tmp_path}/photos")
