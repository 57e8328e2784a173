"""A survey of the data says what was put in."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from omnidet.cli import main
from omnidet.data import shard_writer, shards
from omnidet.data.sharding import survey
from omnidet.schema import Record
from tests import toys


def record(number: int, boxes, **more) -> Record:
    size = {"width": 400, "height": 300, "image": toys.png(400, 300, [])}
    return Record(
        **size,
        source="toy",
        image_id=f"toy:{number}",
        boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        **more,
    )


@pytest.fixture
def index(tmp_path) -> shards.Index:
    """Sets of names, of grounding, of captions, and a benchmark some of whose names are unseen."""
    boxes = [[0, 0, 10, 10], [0, 0, 50, 50], [0, 0, 200, 200]]
    words = {
        "phrases": ("cat", "<b>dog</b>"),
        "phrase_boxes": ((0, 1), (2,)),
        "not_exhaustive": ("cat",),
    }
    named = [
        record(1, boxes, **words, absent=("zebra",)),
        record(2, [], absent=("zebra", "cat", "dog")),
    ]
    grounded = [
        record(3, [[0, 0, 90, 90]], phrases=("the red cat left of a dog",), phrase_boxes=((0,),))
    ]
    captioned = [record(4, [], caption="a tea kettle on the stove")]
    everything = {
        "train/det": named,
        "train/grd": grounded,
        "train/img": captioned,
        "eval/lvis": named,
    }
    sets = {
        name: shard_writer.write_set(own, tmp_path, name, 2) for name, own in everything.items()
    }
    names = {"1": "cat", "2": "tea kettle", "3": "red zebra", "4": "zebra", "5": "wok"}
    content = {
        "categories": [
            {"id": int(i), "name": name, "frequency": "frccr"[int(i) - 1]}
            for i, name in names.items()
        ]
    }
    (tmp_path / "eval/lvis/ground_truth.json").write_text(json.dumps(content))
    (tmp_path / "quarantine.jsonl").write_text(
        "".join(
            json.dumps({"source": "toy", "item": f"thing {i}", "kind": "box", "reason": "odd"})
            + "\n"
            for i in range(5)
        )
    )
    report = {"held_out": {"train/det": {"lvis v1_val": 7}}, "quarantined": {"toy: box: odd": 5}}
    shards.write_index(
        tmp_path,
        sets,
        {"eval/lvis": {"file": "eval/lvis/ground_truth.json", "names": names}},
        report,
    )
    return shards.read_index(str(tmp_path))


def test_counts(index):
    own = survey.survey(index).sets["train/det"]
    assert (own.images, own.boxes, own.images_without_boxes, own.verified_images, own.captions) == (
        2,
        3,
        1,
        2,
        0,
    )
    assert (own.pairs, own.absent, own.not_exhaustive, dict(own.phrases)) == (
        2,
        4,
        1,
        {"cat": 1, "<b>dog</b>": 1},
    )
    assert (own.areas, own.names, own.boxes_an_image) == (
        {"small": 1, "medium": 1, "large": 1},
        {3: 2},
        {0: 1, 3: 1},
    )
    assert survey.survey(index).sets["train/grd"].lengths == {"7-12 words": 1}
    assert survey.survey(index).sets["train/img"].caption_lengths == {"4-6 words": 1}


def test_names_that_no_phrase_or_caption_has_words_for(index):
    """Words of a verified label space do not count: they are what is looked for elsewhere."""
    rare, common, frequent = survey.survey(index).coverage
    assert (rare.group, rare.names, rare.covered, rare.unseen) == ("rare", 2, 1, ("wok",))
    assert (common.group, common.names, common.covered, common.unseen) == (
        "common",
        2,
        0,
        ("zebra",),
    )
    assert (frequent.group, frequent.names, frequent.covered, frequent.unseen) == (
        "frequent",
        1,
        1,
        (),
    )
    in_tokens = survey.survey(index, toys.toy_vocabulary())
    assert in_tokens.parts == "tokens"
    assert {part.group: part.names for part in in_tokens.coverage} == {
        "rare": 2,
        "common": 2,
        "frequent": 1,
    }


def test_names_are_compared_with_phrases_and_captions_only_where_there_are_some(index):
    without = dataclasses.replace(
        index, sets={name: index.sets[name] for name in ("train/det", "eval/lvis")}
    )
    found = survey.survey(without)
    assert found.coverage == ()
    assert "grounding" not in survey.describe(found)


@pytest.mark.parametrize(
    ("counts", "expected"), [({}, (0, 0, 0)), ({4: 1}, (4, 4, 4)), ({1: 2, 3: 1, 9: 2}, (1, 3, 9))]
)
def test_quantiles(counts, expected):
    assert survey.quantiles(survey.Counter(counts)) == expected


def test_the_command_prints_and_writes_a_self_contained_page(index, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["inspect", index.location, "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    for line in (
        "box sizes              small 33 %, medium 33 %, large 33 %",
        "label spaces           2 images with verified absent names; 3 to 3 names per image",
        "eval/lvis: 1 of 2 rare names have all words seen in grounding phrases or captions, 1 none",
        "  none of: wok",
        "train/det: 7 images held out: lvis v1_val",
        "quarantined: 5 x toy: box: odd",
    ):
        assert line in printed, printed
    html = page.read_text()
    assert html.count("<figure>") == 6
    assert html.count("<rect") == 3 + 1 + 3
    assert '<rect class="colour1" x="0.0" y="0.0" width="50.0" height="50.0"' in html
    assert "&lt;b&gt;dog&lt;/b&gt;" in html
    assert "<b>dog</b>" not in html
    assert "thing 0 · thing 1 · thing 2</td>" in html
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert "<script" not in html


def test_wrong_input_is_one_line(tmp_path, capsys):
    assert main(["inspect", str(tmp_path)]) == 2
    assert f"{tmp_path}/index.json" in capsys.readouterr().err


def test_samples_are_taken_at_even_distances(tmp_path):
    members = shard_writer.write_set(
        [record(i, [], caption="x") for i in range(10)], tmp_path, "train/a", 3
    )
    shards.write_index(tmp_path, {"train/a": members}, {}, {})
    from omnidet.report.survey import samples

    index = shards.read_index(str(tmp_path))
    assert [r.image_id for r in samples(index, "train/a", 4)] == [
        "toy:0",
        "toy:2",
        "toy:5",
        "toy:7",
    ]
    assert len(list(samples(index, "train/a", 99))) == 10
