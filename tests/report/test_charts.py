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


@pytest.mark.parametrize(
    ("value", "text"), [(0.4351, ".435"), (1.0, "1.000"), (31.25, "31.25"), (float("nan"), "n/a")]
)
def test_shares_have_three_digits(value, text):
    assert charts.number(value) == text


def test_losses_are_grouped_by_term_and_drawn_within_the_chart():
    log = [{"step": i, "loss": 9.0 - i, "det/names": 2.0, "grd/names": 3.0} for i in range(5)]
    loss, names = charts.training(log)
    assert (loss["title"], names["title"]) == ("loss", "loss: names")
    assert [line["name"] for line in names["lines"]] == ["det", "grd"]
    assert [line["last"] for line in names["lines"]] == ["2", "3"]
    points = [point.split(",") for point in loss["lines"][0]["raw"].split()]
    assert len(points) == 5
    assert all(charts.LEFT <= float(x) <= charts.RIGHT for x, _ in points)
    assert all(charts.TOP <= float(y) <= charts.BOTTOM for _, y in points)
    heights = [float(y) for _, y in points]
    assert heights == sorted(heights)  # the loss falls, and y grows downwards


def test_a_loss_over_several_powers_of_ten_has_a_logarithmic_axis():
    (chart,) = charts.training([{"step": i, "loss": 10.0 ** (3 - i / 10)} for i in range(60)])
    assert chart["logarithmic"]
    labels = [text for _, text in chart["y_ticks"]]
    assert "1k" in labels
    assert "0.01" in labels
    assert charts.training([{"step": 1, "loss": float("nan")}]) == []


def test_what_scores_were_measured_on_is_said_with_each_of_their_charts():
    log = [{"step": 1, "AP": 0.1, "AP a": 0.2}, {"step": 2, "AP": 0.3, "AP a": 0.4}]
    drawn = charts.scores(log, "19 of 60")
    assert [chart["note"] for chart in drawn] == ["19 of 60", "19 of 60"]
