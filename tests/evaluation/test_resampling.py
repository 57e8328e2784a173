import numpy as np
import pytest

from omnidet.evaluation import resampling


def test_every_resample_draws_as_many_images_as_there_are():
    weights_BI = resampling.draw(50)
    assert weights_BI.shape == (resampling.RESAMPLES, 50)
    assert (weights_BI.sum(1) == 50).all()
    assert np.array_equal(weights_BI, resampling.draw(50))


def test_an_interval_is_centred_on_the_value_and_stays_in_bounds():
    values_B = np.linspace(0.4, 0.6, 201)  # the middle 95 % reach from .405 to .595
    assert resampling.interval(0.3, values_B) == pytest.approx([0.205, 0.395])
    assert resampling.interval(0.97, values_B) == pytest.approx([0.875, 1.0])
    assert resampling.interval(0.5, np.full(3, np.nan)) is None
    assert resampling.interval(0.5, np.append(values_B, np.nan)) == pytest.approx([0.405, 0.595])


def test_details_leave_out_what_is_undefined():
    resampled = {"AP": np.array([0.1, np.nan]), "AR": np.full(2, np.nan), "other": np.zeros(2)}
    details = resampling.describe({"AP": 0.1, "AR": 0.2}, resampled)
    assert set(details["intervals"]) == {"AP"}
    assert details["resamples"] == {"AP": [0.1, None]}
    assert "95%" in details["interval_protocol"]


def test_a_share_varies_with_the_images_that_are_drawn():
    weights_BI = resampling.draw(2)
    share_B = resampling.share([True, True, False], ["a", "a", "b"])
    assert share_B == pytest.approx(
        2 * weights_BI[:, 0] / (2 * weights_BI[:, 0] + weights_BI[:, 1])
    )
