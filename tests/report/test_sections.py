import json

import pytest

from omnidet.report.pictures import Sample
from omnidet.report.sections import sections
from tests import evaluations


@pytest.fixture
def index(tmp_path):
    return evaluations.index(tmp_path)


@pytest.fixture
def folder(tmp_path):
    return evaluations.evaluation(tmp_path / "evaluation")


def of(made, name, group) -> list[Sample]:
    (section,) = [s for s in made if s.name == name]
    return [s for s in section.samples if s.group == group]


def test_good_and_bad_pictures_are_chosen(index, folder):
    made = sections(index, evaluations.BENCHMARKS, folder)
    assert [(s.name, s.benchmark) for s in made] == [
        ("coco", "coco"),
        ("refcocog unseen", "refcocog"),
    ]
    assert [s.title for s in of(made, "coco", "No mistakes")] == ["coco 1"]
    assert [s.title for s in of(made, "coco", "Most mistakes")] == [
        "coco 3",
        "coco 4",
        "coco 6",
        "coco 2",
        "coco 5",
    ]
    (confused,) = [s for s in of(made, "coco", "Most mistakes") if s.title == "coco 4"]
    assert confused.predicted[0] == (evaluations.LEFT, "circle", 0.95)
    assert confused.mistakes == ["confusion", ""]
    assert confused.truth == [(evaluations.LEFT, "star"), (evaluations.RIGHT, "circle")]
    assert [s.title for s in of(made, "refcocog unseen", "Right, with the highest scores")] == [
        "the red star",
        "big star",
        "some star",
    ]
    wrong = of(made, "refcocog unseen", "Wrong, with the highest scores")
    assert [s.predicted[0][0] for s in wrong] == [
        evaluations.RIGHT,
        evaluations.SHIFTED,
        evaluations.EMPTY,
    ]


def test_a_set_that_was_not_evaluated_is_left_out_only_if_optional(index, folder):
    (folder / "eval_coco.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"eval_coco\.json"):
        sections(index, evaluations.BENCHMARKS, folder)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("eval_coco.json", "", "is not whole JSON"),
        (
            "eval_coco.json",
            [{"image_id": 1}],
            "detection 0 has no 'category_id'",
        ),
        ("eval_refcocog.json", [], "'the red star' of image coco:1"),
        (
            "eval_refcocog.json",
            [{"image_id": "coco:1"}],
            "prediction 0",
        ),
        (
            "eval_refcocog.json",
            [{"image_id": "coco:1", "phrase": "x", "boxes_xyxy": [], "scores": []}],
            "prediction 0",
        ),
    ],
)
def test_damaged_predictions_are_named_in_one_line(index, folder, name, content, reason):
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=f"{name}.*{reason}.*evaluate"):
        sections(index, evaluations.BENCHMARKS, folder)


def test_a_changed_ground_truth_is_refused(index, folder, tmp_path):
    (tmp_path / "truth.json").write_text("{}")
    with pytest.raises(ValueError, match=r"truth\.json is corrupt"):
        sections(index, evaluations.BENCHMARKS, folder)


def test_an_evaluation_that_found_nothing_is_shown(index, folder):
    (folder / "eval_coco.json").write_text("[]")
    section = sections(index, evaluations.BENCHMARKS[:1], folder)[0]
    assert section.analysis.missed == 12
    assert [len(s.predicted) for s in section.samples] == [0] * 6
