"""What `omnidet score` refuses: one line, exit code 2, and no file is written or written over."""

from __future__ import annotations

import json
import pickle
import re

import pytest

from tests.commands.scoring import TRUTHS, score, write


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


BAD = {
    "coco": [
        (
            [{"image_id": 999, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}],
            "detection 0: image_id 999",
        ),
        (
            [{"image_id": 3, "category_id": 99, "bbox": [0, 0, 1, 1], "score": 1}],
            "detection 0: category_id 99",
        ),
        (
            [{"image_id": 3, "category_id": 1, "bbox": [0, 0, 1, 1], "score": float("nan")}],
            "score is nan",
        ),
        (
            [{"image_id": "3", "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}],
            "image_id is the text '3'",
        ),
        (
            [{"image_id": 3, "category_id": 1, "bbox": [0, 0, 1, "1"], "score": 1}],
            "detection 0: bbox is",
        ),
        (
            [{"image_id": 3, "category_id": 1, "bbox": [10**400, 0, 1, 1], "score": 1}],
            "detection 0: bbox is",
        ),
        (
            [{"image_id": 3, "category_id": 1, "bbox": [1e300, 0, 1e300, 1e300], "score": 1}],
            "detection 0: bbox is",
        ),
        (
            [{"image_id": 3, "category_id": 1, "bbox": [0, 0, 1, 1], "score": "0.5"}],
            "detection 0: score is '0.5': give a number",
        ),
        (
            [{"image_id": 3, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 10**400}],
            "detection 0: score is",
        ),
        ({"image_id": 3}, "detection 0 has no 'category_id'"),
        ("no rows", "item 0 is 'no rows'"),
    ],
    "refcocog": [
        ([{"id": 99, "bbox": [0, 0, 1, 1]}], "result 0: id 99 is not in the ground truth"),
        ([{"id": [1], "bbox": [0, 0, 1, 1]}], r"result 0 has id \[1\]: give a whole number"),
        ([{"id": 11, "bbox": [0, 0, -1, 1]}], "result 0: bbox is"),
        ([{"id": 11, "bbox": [0, 0, float("nan"), 1]}], "result 0: bbox is"),
        ([{"id": 11, "bbox": [0, 0, 1, "1"]}], "result 0: bbox is"),
        ([{"id": 11, "bbox": [[0, 0, 1, 1]]}], "result 0: bbox is"),
        ([{"id": 11, "bbox": [0, 0, 1, 1], "score": float("inf")}], "score is inf"),
        ([{"id": 11, "bbox": [0, 0, 1, 1]}] * 2, "several boxes and no score"),
        (
            [{"id": 11, "bbox": [0, 0, 1, 1]}, {"id": 11, "bbox": [0, 0, 9, 9], "score": -1}],
            "several boxes and no score",
        ),
        ([{"bbox": [0, 0, 1, 1]}], "result 0 has no 'id'"),
    ],
    "flickr30k": [
        ([{"image_id": 8, "sentence_id": 0, "boxes": [[]]}], "sentence 0 of image 8 has no phrase"),
        ([{"image_id": 7, "sentence_id": 0, "boxes": [[], []]}], "2 lists of boxes for 1 phrases"),
        ([{"image_id": 7, "sentence_id": 0, "boxes": [[[1, 2, 3]]]}], "is not a box"),
        ([{"image_id": 7, "sentence_id": 0, "boxes": [[[5, 5, 1, 9]]]}], "is not a box"),
        ([{"image_id": 7, "sentence_id": 0, "boxes": None}], "has boxes None"),
        ([{"image_id": 7, "sentence_id": [0], "boxes": [[]]}], r"has sentence_id \[0\]"),
        ([{"image_id": 7, "sentence_id": "first", "boxes": [[]]}], "has sentence_id 'first'"),
        ([{"image_id": 7, "sentence_id": 0, "boxes": [[]]}] * 2, "comes a second time"),
    ],
}


@pytest.mark.parametrize(
    ("benchmark", "rows", "message"),
    [(b, rows, m) for b, cases in BAD.items() for rows, m in cases],
)
def test_bad_results_end_with_one_line_and_leave_no_file(
    tmp_path, capsys, benchmark, rows, message
):
    truth, found = (
        write(tmp_path / "truth.json", TRUTHS[benchmark]),
        write(tmp_path / "found.json", rows),
    )
    assert score(benchmark, truth, found, "--json", tmp_path / "out.json") == 2
    said = capsys.readouterr().err
    assert re.search(message, said)
    assert said.count("\n") == 1
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("benchmark", TRUTHS)
def test_nothing_found_is_worth_nothing(tmp_path, benchmark):
    truth, found = (
        write(tmp_path / "truth.json", TRUTHS[benchmark]),
        write(tmp_path / "found.json", []),
    )
    assert score(benchmark, truth, found, "--json", tmp_path / "out.json") == 0
    assert set(json.loads((tmp_path / "out.json").read_text()).values()) == {0.0}


@pytest.mark.parametrize("benchmark", TRUTHS)
def test_broken_files_and_options(tmp_path, capsys, benchmark):
    truth, found = (
        write(tmp_path / "truth.json", TRUTHS[benchmark]),
        write(tmp_path / "found.json", []),
    )
    half = tmp_path / "half.json"
    half.write_text((tmp_path / "truth.json").read_text()[:-20])
    is_list = isinstance(TRUTHS[benchmark], list)
    doubled = (
        TRUTHS[benchmark] * 2
        if is_list
        else {**TRUTHS[benchmark], "images": TRUTHS[benchmark]["images"] * 2}
    )
    cases = {
        (str(half), found): "not valid JSON",
        (truth, str(half)): "is not whole JSON",
        (truth, str(tmp_path / "none.json")): "none.json does not exist",
        (str(tmp_path / "none.json"), found): "none.json",
        (write(tmp_path / "twice.json", doubled), found): "two " if is_list else "but 12 ids",
    }
    for files, message in cases.items():
        assert score(benchmark, *files) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for content in (
        "null",
        "3",
        "NaN",
        '"text"',
        '{"images": 3}',
        '{"images": [1], "annotations": [2], "categories": [3]}',
        "[[]]",
    ):
        (tmp_path / "other.json").write_text(content)
        assert score(benchmark, str(tmp_path / "other.json"), found) == 2
    for files in (
        (truth, str(tmp_path / "deep.json")),
        (str(tmp_path / "deep.json"), found),
        (truth, str(tmp_path)),
    ):
        assert score(benchmark, *files) == 2
    assert score(benchmark, "x" * 300, found) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 7 + 3 + 1
    assert score(benchmark, truth, found, "--protocol", "mine") == 2
    assert "has no protocol 'mine'" in capsys.readouterr().err


@pytest.mark.parametrize("benchmark", TRUTHS)
def test_what_is_read_is_not_written_over(tmp_path, capsys, benchmark):
    truth, found = (
        write(tmp_path / "truth.json", TRUTHS[benchmark]),
        write(tmp_path / "found.json", []),
    )
    before = (tmp_path / "truth.json").read_bytes()
    assert score(benchmark, truth, found, "--json", f"{tmp_path}/./truth.json") == 2
    assert "truth.json is also" in capsys.readouterr().err
    assert score(benchmark, truth, found, "--json", "new.json", "--details", "new.json") == 2
    assert (tmp_path / "truth.json").read_bytes() == before
    assert not (tmp_path / "new.json").exists()


def test_files_next_to_the_ground_truth_are_inputs_too(tmp_path, capsys):
    (tmp_path / "refs(umd).p").write_bytes(pickle.dumps([], protocol=2))
    (tmp_path / "test.txt").write_text("7\n")
    found = write(tmp_path / "found.json", [])
    write(tmp_path / "instances.json", {"annotations": []})
    for option in ("--json", "--scrambled-words"):
        call = (
            "refcocog",
            str(tmp_path / "refs(umd).p"),
            found,
            option,
            str(tmp_path / "instances.json"),
        )
        assert score(*call) == 2
        assert "instances.json is also" in capsys.readouterr().err
    assert score("flickr30k", str(tmp_path), found, "--json", str(tmp_path / "test.txt")) == 2
    assert "test.txt" in capsys.readouterr().err
    assert (tmp_path / "test.txt").read_text() == "7\n"


def test_truth_that_measures_nothing_and_crowds_that_are_not_0_or_1(tmp_path, capsys):
    truth, found = TRUTHS["coco"], write(tmp_path / "found.json", [])
    assert (
        score(
            "coco",
            write(tmp_path / "none.json", {**truth, "annotations": []}),
            found,
            "--json",
            "out.json",
        )
        == 2
    )
    assert "none.json" in capsys.readouterr().err
    for crowd in ("no", 2, None, [1]):
        changed = [{**truth["annotations"][0], "iscrowd": crowd}, *truth["annotations"][1:]]
        assert (
            score(
                "coco",
                write(tmp_path / "crowd.json", {**truth, "annotations": changed}),
                found,
                "--json",
                "out.json",
            )
            == 2
        )
        assert "give 0 or 1" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()
