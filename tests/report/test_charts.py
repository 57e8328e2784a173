import pytest

from omnidet.report import charts


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0, 0.5, 1]),
        (3.0, 3.0, [0, 1, 2, 3]),
        (0.0, 0.0, [0, 0.5, 1]),
        (140.0, 160.0, [140, 145, 150, 155, 160]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert charts.ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (12_000, "12k"), (2.5e6, "2.5M"), (3e-4, "3e-4"), (0.25, "0.25"), (150, "150")],
)
def test_tick_labels_are_short(value, text):
    assert charts.compact(value) == text
