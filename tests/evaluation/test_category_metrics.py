import numpy as np
import pytest

from omnidet.evaluation import category_metrics
from omnidet.evaluation.truth import in_columns


def test_the_tools_mark_of_nothing_to_find_is_not_a_number():
    values, undefined = category_metrics.split_undefined({"AP": 0.0, "APs": -1.0, "APm": 0.5})
    assert values == {"AP": 0.0, "APm": 0.5}
    assert undefined == ["APs"]


@pytest.mark.filterwarnings("error")
def test_intervals_of_headlines_categories_and_frequencies():
    categories = [
        {"id": n, "name": name, "frequency": frequency}
        for n, (name, frequency) in enumerate((("cat", "f"), ("yak", "r"), ("emu", "f")), 1)
    ]
    images = [{"id": 1, "neg_category_ids": []}]
    truth = in_columns({"images": images, "annotations": [], "categories": categories}, True)
    resampled_BKT = np.full((3, 3, 10), np.nan)
    resampled_BKT[:, 0], resampled_BKT[:, 1] = 0.2, 0.6
    resampled_BKT[:, 0, 0] = 0.4
    values = {"AP": 0.4, "AP50": 0.5, "APr": 0.6, "APf": 0.2}
    details = category_metrics.intervals(
        values, {"cat": 0.22, "yak": 0.6, "emu": None}, resampled_BKT, truth
    )
    assert set(details["intervals"]) == {"AP", "AP50", "APr", "APf"}
    assert details["resamples"]["AP50"] == pytest.approx([0.5] * 3)
    assert details["resamples"]["APf"] == pytest.approx([0.22] * 3)
    assert details["per_category_interval"]["yak"] == pytest.approx([0.6, 0.6])
    assert details["per_category_interval"]["emu"] is None
