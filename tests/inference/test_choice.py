"""Names of several phrases, thresholds of their own, and boxes that must not overlap: as an
exhaustive count says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omnidet.inference.choice import box_in, checked_box, choose, shares_of
from omnidet.inference.overlaps import overlaps
from omnidet.inference.pictures import Picture
from omnidet.inference.prompt import Prompt

HUGE = 10**5000
"""Python does not write it out: `repr` fails."""


def _world(regions=60, phrases=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(regions, 8, generator=generator)
    rows = torch.randn(phrases, 8, generator=generator)
    near = torch.rand(regions, 2, generator=generator) * 60
    boxes = torch.cat([near, near + 20 + 20 * torch.rand(regions, 2, generator=generator)], 1)
    return boxes.numpy(), embeddings, rows, torch.randn(phrases, generator=generator)


def _exhaustive(boxes, embeddings, prompt, count, threshold, same_thing):
    scores = (embeddings.double() @ prompt.rows_PD.T.double() + prompt.biases_P.double()).sigmoid()
    name_of = prompt.name_of_P or tuple(range(len(prompt.phrases)))
    own = prompt.thresholds or (None,) * len(prompt.phrases)
    pairs = []
    for region in range(len(boxes)):
        best = {}
        for phrase, name in enumerate(name_of):
            least = threshold if own[name] is None else own[name]
            score = float(scores[region, phrase])
            if score >= least and score > best.get(name, (0.0,))[0]:
                best[name] = (score, phrase)
        pairs += [(score, region, name, phrase) for name, (score, phrase) in best.items()]
    kept = []
    for score, region, name, phrase in sorted(pairs, reverse=True):
        others = [boxes[r] for _, r, n, _ in kept if n == name]
        if (
            same_thing is None
            or not others
            or overlaps(boxes[region], np.array(others)).max() <= (same_thing)
        ):
            kept.append((score, region, name, phrase))
    return kept[:count]


@pytest.mark.parametrize("same_thing", [None, 0.3, 0.7])
@pytest.mark.parametrize("count", [1, 5, 40, 1000])
@pytest.mark.parametrize(
    ("names", "name_of", "thresholds"),
    [
        ((), (), ()),
        (("a", "b"), (0, 0, 0, 1, 1, 1), (None, None)),
        (("a", "b", "c"), (0, 1, 1, 2, 0, 1), (0.9, None, 0.1)),
    ],
)
def test_the_pairs_are_those_of_an_exhaustive_count(names, name_of, thresholds, count, same_thing):
    boxes, embeddings, rows, biases = _world()
    prompt = Prompt(tuple("uvwxyz"), rows, biases, names, name_of, thresholds)
    chosen = choose(boxes, embeddings, prompt, count, 0.4, same_thing)
    expected = _exhaustive(boxes, embeddings, prompt, count, 0.4, same_thing)
    assert len(expected) > min(count, 8) - 1
    assert chosen.region.tolist() == [region for _, region, _, _ in expected]
    assert chosen.label.tolist() == [name for _, _, name, _ in expected]
    assert chosen.phrase.tolist() == [phrase for _, _, _, phrase in expected]
    np.testing.assert_allclose(chosen.scores, [score for score, *_ in expected], atol=1e-6)


def test_near_copies_under_one_threshold_do_not_make_room_for_worse_boxes_under_another():
    boxes = np.array([[0, 0, 9, 9]] * 4 + [[50, 0, 60, 9], [70, 0, 80, 9]], np.float32)
    crowded, weak = [5.0, 4.9, 4.8, 4.7, 4.0, -9.0], [-9.0, -9.0, -9.0, -9.0, -9.0, 1.0]
    prompt = Prompt(
        ("a", "b"), torch.tensor([crowded, weak]), torch.zeros(2), thresholds=(None, 0.5)
    )
    chosen = choose(boxes, torch.eye(6), prompt, 2, 0.1, 0.7)
    assert (chosen.region.tolist(), chosen.label.tolist()) == ([0, 4], [0, 0])


def test_nothing_is_asked():
    boxes, embeddings, rows, biases = _world(phrases=1)
    nothing = Prompt((), rows[:0], biases[:0])
    assert len(choose(boxes, embeddings, nothing, 5, 0.0, None).scores) == 0
    assert len(choose(boxes, embeddings, nothing, 5, 0.0, 0.7).scores) == 0


@pytest.mark.parametrize(
    "given",
    [
        *([1, 2, 3], [0, 0, float("nan"), 1], [5, 0, 5, 9], ["a"] * 4, 7, [0, 0, 1e999, 1]),
        *(["1", "2", "3", "4"], "1234", [False, False, True, True], [0, 0, np.True_, np.True_]),
        *([0, 0, 10**400, 1], [-(10**400), 0, 1, 1], [0, 0, HUGE, 1], [0, 0, 1e39, 1]),
    ],
)
def test_what_is_no_box_is_refused(given):
    with pytest.raises(ValueError, match="box") as caught:
        checked_box(given)
    assert "x0 < x1" in str(caught.value)
    assert len(str(caught.value)) < 200


def test_numbers_of_any_kind_are_a_box():
    for given in ([1, 2.5, 3, 4], np.array([1, 2.5, 3, 4]), (np.int64(1), np.float32(2.5), 3, 4)):
        assert checked_box(given).tolist() == [1, 2.5, 3, 4]


def test_a_box_is_cut_at_the_border_of_the_picture():
    picture = Picture("a.png", 90, 30, b"")
    assert box_in(picture, [-5, 10, 100, 40]).tolist() == [0, 10, 90, 30]
    for outside in ([90, 0, 99, 30], [-9, 0, 0, 30], [0, 30, 9, 99], [1e6, 1e6, 2e6, 2e6]):
        with pytest.raises(ValueError, match=r"a\.png, which is 90 x 30"):
            box_in(picture, outside)


def test_a_box_where_no_region_is_has_no_shares():
    picture = Picture("a.png", 90, 30, b"")
    regions = np.array([[0, 0, 20, 20], [10, 0, 30, 10]], np.float32)
    assert shares_of(np.float32([10, 0, 30, 10]), regions, picture)[1] == 1
    with pytest.raises(ValueError, match=r"none of the 2 regions.*90 x 30"):
        shares_of(np.float32([50, 20, 60, 30]), regions, picture)
