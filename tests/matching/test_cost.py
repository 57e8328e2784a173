"""The matching cost against numbers worked out by hand, and the matching of a whole batch."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
import torch

from omnidet.matching.config import CostConfig
from omnidet.matching.cost import match, match_early, matching_cost
from omnidet.matching.hungarian import hungarian
from omnidet.schema import Matches
from tests import toys

ONE = CostConfig(names=1, l1=0, giou=0)


def _predictions(scores, boxes):
    given = toys.predictions(toys.batch(), toys.leaves(num_regions=scores.shape[1]))
    return dataclasses.replace(given, scores_BQL=scores, boxes_cxcywh_BQ4=boxes)


def _case():
    batch = toys.batch()
    predictions = toys.predictions(batch, toys.leaves())
    return predictions, batch


def test_the_name_part_is_the_focal_gain_worked_out_by_hand():
    scores = torch.zeros(5, 1, 3)
    scores[0, 0, 0] = math.log(0.8 / 0.2)
    scores[2, 0, 0], scores[2, 0, 1] = math.log(0.5 / 0.5), math.log(0.9 / 0.1)
    cost = matching_cost(_predictions(scores, torch.full((5, 1, 4), 0.5)), toys.batch(), ONE)

    def gain(p: float) -> float:
        return 0.25 * (1 - p) ** 2 * -math.log(p) - 0.75 * p**2 * -math.log(1 - p)

    assert cost[0, 0, 0] == pytest.approx(gain(0.8), abs=1e-6)
    assert gain(0.8) == pytest.approx(-0.7703, abs=1e-5)
    mean = (gain(0.5) + gain(0.9)) / 2  # a box with two names
    assert cost[2, 0, 1] == pytest.approx(mean, abs=1e-6)


def test_the_place_part_is_the_distance_in_patches():
    """Two rows of four patches: the image is twice as wide as it is high."""
    batch = toys.batch()
    wide = dataclasses.replace(batch, images_BCHW=torch.zeros(5, 3, 32, 64, dtype=torch.uint8))
    away = matching_cost(
        _predictions(torch.zeros(5, 8, 3), torch.full((5, 8, 4), 0.5)),
        wide,
        CostConfig(names=0, l1=0, giou=0, place=2),
    )
    # The first true box is around .3, .3: 1.2 patches from the left, .6 from the top.
    assert away[0, 0, 0] == pytest.approx(2 * math.hypot(0.5 - 1.2, 0.5 - 0.6), abs=1e-5)
    assert away[0, 7, 0] == pytest.approx(2 * math.hypot(3.5 - 1.2, 1.5 - 0.6), abs=1e-5)
    assert away[0, :, 0].argmin() == 1


def test_box_parts_by_hand():
    boxes = torch.tensor([0.3, 0.3, 0.2, 0.2]).expand(5, 1, 4)  # the true one: 0.3 0.3 0.2 0.3
    scores = torch.zeros(5, 1, 3)
    l1 = matching_cost(_predictions(scores, boxes), toys.batch(), CostConfig(names=0, l1=1, giou=0))
    assert l1[0, 0, 0] == pytest.approx(0.1, abs=1e-6)
    assert l1[0, 0, 1] == pytest.approx(0.4 + 0.3 + 0.2 + 0.0, abs=1e-6)
    giou = matching_cost(
        _predictions(scores, boxes), toys.batch(), CostConfig(names=0, l1=0, giou=1)
    )
    assert giou[0, 0, 0] == pytest.approx(-(0.04 / 0.06), abs=1e-6)
    # Apart: corners (.2 .2 .4 .4) and (.5 .5 .9 .7); union .12, hull .7 x .5.
    assert giou[0, 0, 1] == pytest.approx((0.35 - 0.12) / 0.35, abs=1e-6)


def test_parts_add_with_their_weights():
    predictions, batch = _case()
    parts = [
        matching_cost(predictions, batch, CostConfig(*(float(i == k) for i in range(3))))
        for k in range(3)
    ]
    total = matching_cost(predictions, batch, CostConfig(names=2, l1=5, giou=3))
    torch.testing.assert_close(total, 2 * parts[0] + 5 * parts[1] + 3 * parts[2])


def test_the_cost_is_in_single_precision_whatever_comes_in():
    predictions, batch = _case()
    half = dataclasses.replace(
        predictions,
        scores_BQL=predictions.scores_BQL.bfloat16(),
        boxes_cxcywh_BQ4=predictions.boxes_cxcywh_BQ4.bfloat16(),
    )
    assert matching_cost(half, batch, CostConfig()).dtype == torch.float32


def test_each_true_box_gets_its_own_region_and_padding_gets_none():
    predictions, batch = _case()
    found = match(predictions, batch, CostConfig(), hungarian)
    pairs = sorted(zip(found.image_M.tolist(), found.box_M.tolist(), strict=True))
    assert pairs == [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]
    assert len(set(zip(found.image_M.tolist(), found.region_M.tolist(), strict=True))) == 5


def test_the_box_index_is_that_of_the_padded_batch():
    predictions, batch = _case()
    holes = dataclasses.replace(
        batch, box_valid_BN=torch.tensor([[0, 1], [0, 0], [0, 1], [0, 0], [0, 0]], dtype=torch.bool)
    )
    found = match(predictions, holes, CostConfig(), hungarian)
    assert found.image_M.tolist() == [0, 2]
    assert found.box_M.tolist() == [1, 1]
    cost = matching_cost(predictions, holes, CostConfig())
    assert found.region_M.tolist() == [int(cost[0, :, 1].argmin()), int(cost[2, :, 1].argmin())]


def test_padded_boxes_do_not_push_true_ones_away():
    """A padded box that would fit the best region better must not take it."""
    predictions, batch = _case()
    wide = dataclasses.replace(
        batch,
        boxes_cxcywh_BN4=torch.cat(
            [batch.boxes_cxcywh_BN4, predictions.boxes_cxcywh_BQ4.detach()], 1
        ),
        box_valid_BN=torch.cat([batch.box_valid_BN, torch.zeros(5, 6, dtype=torch.bool)], 1),
        named_BNL=torch.cat([batch.named_BNL, torch.zeros(5, 6, 3, dtype=torch.bool)], 1),
    )
    narrow, padded = (match(predictions, given, CostConfig(), hungarian) for given in (batch, wide))
    for field in ("image_M", "region_M", "box_M"):
        assert torch.equal(getattr(narrow, field), getattr(padded, field))


def test_more_boxes_than_regions():
    batch = toys.batch()
    predictions = toys.predictions(batch, toys.leaves(num_regions=1))
    found = match(predictions, batch, CostConfig(), hungarian)
    assert found.image_M.tolist() == [0, 1, 2]
    assert found.region_M.tolist() == [0, 0, 0]
    cost = matching_cost(predictions, batch, CostConfig())
    assert found.box_M.tolist() == [int(cost[0, 0].argmin()), 0, int(cost[2, 0].argmin())]


@pytest.mark.parametrize("padded", [True, False])
def test_a_batch_without_boxes_has_no_matches(padded):
    batch = toys.select(toys.batch(), [3, 4])
    if not padded:
        batch = dataclasses.replace(
            batch,
            boxes_cxcywh_BN4=torch.zeros(2, 0, 4),
            box_valid_BN=torch.zeros(2, 0, dtype=torch.bool),
            named_BNL=torch.zeros(2, 0, 3, dtype=torch.bool),
        )
    found = match(toys.predictions(batch, toys.leaves(2)), batch, CostConfig(), hungarian)
    assert found.image_M.shape == found.region_M.shape == found.box_M.shape == (0,)
    assert found.image_M.dtype == torch.int64


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_scores_that_are_not_finite_stop_the_run(value):
    predictions, batch = _case()
    scores = predictions.scores_BQL.detach().clone()
    scores[0, 3, 1] = value
    with pytest.raises(FloatingPointError, match="matching cost is not finite"):
        match(dataclasses.replace(predictions, scores_BQL=scores), batch, CostConfig(), hungarian)


def test_scores_of_padded_names_do_not_matter():
    """They are undefined: they must not decide anything, nor stop the run."""
    predictions, batch = _case()
    before = match(predictions, batch, CostConfig(), hungarian)
    scores = predictions.scores_BQL.detach().clone()
    scores[1, :, 2] = 1e4
    after = match(
        dataclasses.replace(predictions, scores_BQL=scores), batch, CostConfig(), hungarian
    )
    np.testing.assert_array_equal(before.region_M.numpy(), after.region_M.numpy())


def _early_matches(regions: int) -> tuple[Matches, Matches]:
    predictions, batch = _case()
    with_early = dataclasses.replace(
        toys.predictions(batch, toys.leaves(seed=1)), early=predictions
    )
    several = match_early(with_early, batch, CostConfig(), hungarian, regions)
    return match(predictions, batch, CostConfig(), hungarian), several


def _pairs(matches: Matches) -> set[tuple[int, int, int]]:
    parts = (matches.image_M, matches.region_M, matches.box_M)
    return set(zip(*(part.tolist() for part in parts), strict=True))


def test_one_early_region_a_box_is_the_same_matching():
    single, several = _early_matches(1)
    assert _pairs(several) == _pairs(single)


def test_each_box_gets_several_early_regions_and_a_region_one_box():
    single, several = _early_matches(2)
    boxes = Counter((image, box) for image, _, box in _pairs(several))
    assert boxes.keys() == {(image, box) for image, _, box in _pairs(single)}
    assert set(boxes.values()) == {2}
    assert max(Counter((image, region) for image, region, _ in _pairs(several)).values()) == 1


def test_more_early_regions_than_there_are_gives_each_box_its_share():
    single, several = _early_matches(100)
    num_regions = toys.leaves().z_BQD.shape[1]
    of_image = Counter(image for image, _, _ in _pairs(several))
    for image, num_boxes in Counter(image for image, _, _ in _pairs(single)).items():
        assert of_image[image] == num_regions // num_boxes * num_boxes


def test_early_regions_are_those_that_fit_their_box():
    batch = toys.batch()
    given = toys.predictions(batch, toys.leaves())
    first, second = batch.boxes_cxcywh_BN4[0]
    boxes = given.boxes_cxcywh_BQ4.detach().clone()
    boxes[0, :4] = torch.stack([first, second, second, first])
    scores = torch.zeros_like(given.scores_BQL)
    early = dataclasses.replace(given, boxes_cxcywh_BQ4=boxes, scores_BQL=scores)
    several = match_early(
        dataclasses.replace(given, early=early), batch, CostConfig(), hungarian, 2
    )
    assert {p for p in _pairs(several) if p[0] == 0} == {
        (0, 0, 0),
        (0, 3, 0),
        (0, 1, 1),
        (0, 2, 1),
    }
