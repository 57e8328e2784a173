import math

from omnidet.report import comparison


def test_numbers_known_twice_are_compared_and_lower_errors_are_better():
    metrics = {
        "coco/AP": 0.5,
        "absent/false_positive_rate": 0.1,
        "new": 3.0,
        "only": 1.0,
        "lost/AP": math.nan,
    }
    rows = comparison.rows(
        metrics,
        {"coco/AP": 0.75, "absent/false_positive_rate": 0.2, "new": 1.5, "lost/AP": 0.1},
        None,
    )
    assert [(r["benchmark"], r["name"], r["change"], r["verdict"]) for r in rows] == [
        ("coco", "AP", "−.250", "worse"),
        ("absent", "false_positive_rate", "−.100", "better"),
        ("numbers", "new", "+1.5", "better"),
        ("lost", "AP", "n/a", "same"),
    ]


def test_without_before_the_change_is_from_zero_shot():
    (row,) = comparison.rows({"coco/AP": 0.5}, None, {"coco/AP": 0.1})
    assert (row["before"], row["zero_shot"], row["change"]) == ("", ".100", "+.400")
    assert comparison.rows({"coco/AP": 0.5}, {}, None) == []
