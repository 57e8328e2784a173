"""`omnidet score` on files of every kind: the numbers, and how they are called."""

import json
import pickle

import pytest

from omnidet.evaluation import official
from omnidet.evaluation.coco import NAMES
from tests.commands.scoring import EXPRESSIONS, RIGHT, TRUTHS, score, write
from tests.evaluation.worlds import world


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_coco_gives_the_official_numbers_under_flat_keys(tmp_path, capsys):
    dataset, found = world(0)
    truth = write(tmp_path / "instances.json", dataset)
    lines = tmp_path / "found.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in found))
    for source in (write(tmp_path / "found.json", found), str(lines)):
        out, details = tmp_path / "numbers.json", tmp_path / "details.json"
        assert score("coco", truth, source, "--json", out, "--details", details) == 0
        values = json.loads(out.read_text())
        assert values == pytest.approx(
            dict(zip(NAMES, official.coco(truth, found).stats, strict=True)), abs=1e-9
        )
        printed = capsys.readouterr().out
        assert "COCO bbox" in printed
        low, high = json.loads(details.read_text())["details"]["intervals"]["AP"]
        assert f"AP     {values['AP']:.4f}  ({low:.4f} to {high:.4f})" in printed


def test_lvis_by_both_protocols_and_on_a_part_of_the_images(tmp_path, capsys):
    dataset, found = world(1, federated=True)
    truth, results = write(tmp_path / "lvis.json", dataset), write(tmp_path / "found.json", found)
    expected = {
        300: official.lvis(truth, found).get_results(),
        -1: official.lvis(truth, found, -1).get_results(),
    }
    for protocol, most in (("standard", 300), ("fixed", -1)):
        assert (
            score(
                "lvis",
                truth,
                results,
                "--protocol",
                protocol,
                "--json",
                tmp_path / "out.json",
                "--no-intervals",
            )
            == 0
        )
        values = json.loads((tmp_path / "out.json").read_text())
        assert values["APr"] == pytest.approx(expected[most]["APr"], abs=1e-9)
        assert f"{protocol} AP" in capsys.readouterr().out
    part = {"images": dataset["images"][:5]}
    assert score("lvis", truth, results, "--images", write(tmp_path / "minival.json", part)) == 0
    assert "5 of 12 images" in capsys.readouterr().out
    for images in (["3"], [{}], {"images": [{}]}, [[1]]):
        assert (
            score("lvis", truth, results, "--images", write(tmp_path / "minival.json", images)) == 2
        )
        assert "minival.json" in capsys.readouterr().err


def test_the_golden_files(samples, tmp_path):
    folder = samples.root / "coco_eval_golden"
    files = (
        str(folder / "instances_val2014_100.json"),
        str(folder / "instances_val2014_fakebbox100_results.json"),
    )
    assert score("coco", *files, "--json", tmp_path / "out.json", "--no-intervals") == 0
    expected = json.loads((folder / "expected_bbox_stats.json").read_text())["stats"]
    values = json.loads((tmp_path / "out.json").read_text())
    assert values == pytest.approx(
        {name.replace("@", ""): v for name, v in expected.items()}, abs=1e-9
    )


def test_refcocog_takes_the_best_box_and_counts_each_expression_once(tmp_path, capsys):
    truth, results = (
        write(tmp_path / "refs.json", EXPRESSIONS),
        write(tmp_path / "found.json", RIGHT),
    )
    assert score("refcocog", truth, results, "--json", tmp_path / "out.json") == 0
    values = json.loads((tmp_path / "out.json").read_text())
    assert values == {"AIGT": 0.5, "AIGT_plain": pytest.approx(1 / 3), "AIGT_relational": 1}
    printed = capsys.readouterr().out
    assert "expressions without result 1" in printed
    assert "RefCOCOg umd/val" in printed


def test_the_official_pickle_and_google_s_val(tmp_path, capsys):
    sentences = [{"sent_id": 5, "sent": "red ball", "raw": "", "tokens": []}]
    refs = [{"ref_id": 1, "ann_id": 3, "image_id": 1, "split": "val", "sentences": sentences}]
    for name in ("refs(umd).p", "refs(google).p"):
        (tmp_path / name).write_bytes(pickle.dumps(refs, protocol=2))
    write(tmp_path / "instances.json", {"annotations": [{"id": 3, "bbox": [0, 0, 4, 4]}]})
    results = write(tmp_path / "found.json", [{"id": 5, "bbox": [0, 0, 4, 4]}])
    assert score("refcocog", str(tmp_path / "refs(umd).p"), results) == 0
    assert score("refcocog", str(tmp_path / "refs(umd).p"), results, "--split", "umd/test") == 2
    assert score("refcocog", str(tmp_path / "refs(google).p"), results) == 2
    assert "val shares images with its train" in capsys.readouterr().err
    assert (
        score("refcocog", str(tmp_path / "refs(google).p"), results, "--split", "google/val") == 0
    )
    assert "RefCOCOg google/val" in capsys.readouterr().out
    merged = [*EXPRESSIONS, EXPRESSIONS[0] | {"id": 99, "split_by": "google"}]
    assert score("refcocog", write(tmp_path / "merged.json", merged), results) == 2
    assert "Google's partition" in capsys.readouterr().err


def test_flickr30k_counts_every_phrase_of_every_sentence_as_the_reference(tmp_path, capsys):
    (tmp_path / "Sentences").mkdir()
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "test.txt").write_text("7\n")
    text = (
        "[/EN#1/people Two dogs] on [/EN#2/scene a field] .\n[/EN#0/notvisual It] is fine "
        ".\n[/EN#1/people Two dogs] run .\n"
    )
    (tmp_path / "Sentences" / "7.txt").write_text(text)
    boxes = [(1, (0, 0, 10, 10)), (1, (20, 0, 30, 10))]
    things = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{b[0]}</xmin><ymin>{b[1]}</ymin><xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox>"
        "</object>"
        for name, b in boxes
    )
    scene = "<object><name>2</name><scene>1</scene><nobndbox>0</nobndbox></object>"
    size = "<size><width>50</width><height>50</height><depth>3</depth></size>"
    (tmp_path / "Annotations" / "7.xml").write_text(
        f"<annotation>{size}{things}{scene}</annotation>"
    )
    rows = [
        {"image_id": 7, "sentence_id": 0, "boxes": [[[0, 0, 10, 10]]]},
        {"image_id": 7, "sentence_id": 1, "boxes": []},
        {"image_id": "7", "sentence_id": 2, "boxes": [[[40, 40, 50, 50], [0, 0, 30, 10]]]},
    ]
    found = write(tmp_path / "found.json", rows)
    assert score("flickr30k", str(tmp_path), found, "--json", tmp_path / "out.json") == 0
    values = json.loads((tmp_path / "out.json").read_text())
    # The field has no box. Two phrases are left: the same words in two sentences.
    any_box = {"R@1": 0.5, "R@5": 0.5, "R@10": 0.5}
    merged_box = {"R@1_merged": 0, "R@5_merged": 0.5, "R@10_merged": 0.5}
    assert values == any_box | merged_box
    plain = [
        {
            "image_id": 7,
            "sentence_id": n,
            "phrases": [{"phrase": "dogs", "boxes": [list(b) for _, b in boxes]}],
        }
        for n in (0, 2)
    ]
    assert (
        score(
            "flickr30k",
            write(tmp_path / "truth.json", plain),
            found,
            "--protocol",
            "merged-box",
            "--json",
            "o.json",
        )
        == 0
    )


def test_the_control_of_scrambled_words(tmp_path, capsys):
    """The words are written out for any detector, and its boxes evaluated by the same truth."""
    truth, results = (
        write(tmp_path / "refs.json", EXPRESSIONS),
        write(tmp_path / "found.json", RIGHT),
    )
    words = tmp_path / "words.json"
    assert score("refcocog", truth, results, "--scrambled-words", words) == 0
    asked = json.loads(words.read_text())
    assert [row["id"] for row in asked] == [e["id"] for e in EXPRESSIONS]
    for row, expression in zip(asked, EXPRESSIONS, strict=True):
        assert sorted(row["sentence"].split()) == sorted(expression["sentence"].split())
        assert (row["sentence"] != expression["sentence"]) == (" " in expression["sentence"])
    control = write(tmp_path / "control.json", [RIGHT[0], {"id": 14, "bbox": [0, 0, 10, 10]}])
    capsys.readouterr()
    assert (
        score("refcocog", truth, results, "--scrambled", control, "--json", tmp_path / "out.json")
        == 0
    )
    values = json.loads((tmp_path / "out.json").read_text())
    assert values["AIGT"] == 0.5
    assert values["AIGT_scrambled"] == 0.5
    assert values["AIGT_plain_scrambled"] == pytest.approx(2 / 3)
    assert values["AIGT_relational_scrambled"] == 0
    assert "scrambled expressions without result 2" in capsys.readouterr().out
    assert (
        score(
            "coco", write(tmp_path / "coco.json", TRUTHS["coco"]), results, "--scrambled", control
        )
        == 2
    )
    assert score("refcocog", truth, results, "--scrambled", str(tmp_path / "none.json")) == 2
    assert score("refcocog", truth, results, "--split", "umd/vall") == 2
    assert "'umd/vall'" in capsys.readouterr().err


def test_names_that_two_categories_share_stay_apart(tmp_path):
    dataset, found = world(0)
    for category in dataset["categories"][:2]:
        category["name"] = "crane"
    truth, results = write(tmp_path / "truth.json", dataset), write(tmp_path / "found.json", found)
    assert score("coco", truth, results, "--details", tmp_path / "details.json") == 0
    names = json.loads((tmp_path / "details.json").read_text())["details"]["per_category_AP"]
    assert len(names) == len(dataset["categories"])
    assert {f"crane ({category['id']})" for category in dataset["categories"][:2]} <= set(names)
