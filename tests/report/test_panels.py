import numpy as np

from omnidet.evaluation import name_analysis, phrase_analysis
from omnidet.evaluation.phrase_analysis import PhraseBoxes
from omnidet.evaluation.truth import in_columns
from omnidet.report import panels
from tests import evaluations


def names(**changes):
    truth = in_columns(evaluations.ground_truth() | changes, federated=None)
    return name_analysis.analyse(truth, evaluations.detections(), {})


def test_the_numbers_of_a_panel_are_those_of_the_analysis():
    shown = panels.of_names(names(), {"APs": 0.5, "APl": 0.25})
    by_size, mistakes = shown["bars"]
    assert by_size["rows"] == [("small", "12 true boxes", 0.5, ".500")]  # no box is large
    assert [(row[0], row[3]) for row in mistakes["rows"]] == [
        ("localisation", "1"),
        ("confusion", "1"),
        ("duplicate", "1"),
        ("background", "1"),
        ("both", "0"),
        ("missed", "4"),
    ]
    assert "precision .667, recall .667 of 12 true boxes" in mistakes["note"]
    assert [row[0] for row in shown["categories"]["best"]] == ["circle"]
    assert [row[0] for row in shown["categories"]["worst"]] == ["star"]
    assert shown["confusions"] == [("circle", "star", "1")]


def test_frequencies_are_shown_if_the_file_has_them():
    categories = [
        {"id": 1, "name": "star", "frequency": "r"},
        {"id": 2, "name": "circle", "frequency": "f"},
    ]
    images = [image | {"neg_category_ids": []} for image in evaluations.ground_truth()["images"]]
    (rows,) = [
        p["rows"]
        for p in panels.of_names(names(categories=categories, images=images), {})["bars"]
        if "frequency" in p["title"]
    ]
    assert [(row[0], row[1]) for row in rows] == [("rare", "1 names"), ("frequent", "1 names")]


def test_many_names_show_best_worst_and_all():
    made = tuple(name_analysis.Category(f"name {i}", 1 - i / 20, 1.0, i, "") for i in range(20))
    shown = panels._categories(made)
    assert [row[0] for row in shown["best"]] == [f"name {i}" for i in range(6)]
    assert [row[0] for row in shown["worst"]] == [f"name {i}" for i in range(19, 13, -1)]
    assert len(shown["all"]) == 20
    assert panels._categories(made[:1]) is None


def test_the_panels_of_phrases():
    truths = [
        PhraseBoxes("coco:1", text, np.array([evaluations.LEFT]), np.array([evaluations.RIGHT]))
        for text in ("star", "a star left of it")
    ]
    boxes = np.array([evaluations.LEFT, evaluations.RIGHT], np.float32)
    shown = panels.of_phrases(phrase_analysis.analyse(truths, boxes, np.array([0.9, 0.4])))
    groups, wrong = shown["bars"]
    assert ("all", "2 phrases", 0.5, ".500") in groups["rows"]
    assert [(row[0], row[2], row[3]) for row in wrong["rows"]] == [("confusion", 0.5, "1")]
    curve, reliability = shown["charts"]
    assert curve["lines"][0]["last"] == ".50"
    assert [bar["text"] for bar in reliability["bars"]] == [
        "score 0.40: 0.00 of 1 right",
        "score 0.90: 1.00 of 1 right",
    ]
