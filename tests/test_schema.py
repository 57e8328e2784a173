"""The types that cross a stage: what they compute themselves, and how they move to a device."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from omnidet.schema import Matches, PhraseTable, Record
from tests import toys


def table(*phrases: dict[int, float]) -> PhraseTable:
    """A table of phrases given as token -> weight."""
    ids = [token for phrase in phrases for token in phrase]
    weights = [weight for phrase in phrases for weight in phrase.values()]
    lengths = [len(phrase) for phrase in phrases]
    offsets = [sum(lengths[:i]) for i in range(len(phrases))]
    return PhraseTable(
        torch.tensor(ids, dtype=torch.int64),
        torch.tensor(weights, dtype=torch.float32),
        torch.tensor(offsets, dtype=torch.int64),
    )


def test_entropy_is_that_of_the_weights():
    found = table({3: 1.0}, {1: 0.5, 2: 0.5}, {0: 0.25, 5: 0.75}).entropy()
    expected = [0.0, math.log(2), -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_a_weight_of_zero_adds_no_entropy():
    assert table({0: 1.0, 1: 0.0}).entropy().tolist() == [0.0]


def test_an_empty_table_has_no_entropy():
    assert table().entropy().shape == (0,)
    assert len(table()) == 0


def test_a_record_s_defaults_know_nothing():
    record = Record(b"", 4, 3, "toy", "toy:1")
    assert record.boxes_xyxy.shape == (0, 4)
    assert (record.phrases, record.absent, record.not_exhaustive, record.caption) == (
        (),
        (),
        (),
        "",
    )
    other = Record(b"", 4, 3, "toy", "toy:1")
    assert record.boxes_xyxy is not other.boxes_xyxy, "nobody shares a default array"


def test_groups_are_the_batches_of_one_size_each():
    small, large = toys.batch(), toys.batch()
    whole = dataclasses.replace(large, more=(small,))
    first, second = whole.groups()
    assert first.images_BCHW is large.images_BCHW
    assert first.more == ()
    assert second is small
    matches = dataclasses.replace(toys.matches(), more=(toys.no_matches(),))
    assert [len(group.image_M) for group in matches.groups()] == [5, 0]
    assert isinstance(matches.groups()[0], Matches)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_all_tensors_move_with_a_batch(device):
    """Those of the phrases and of batches of other sizes too."""
    batch = dataclasses.replace(toys.batch(), more=(toys.batch(),))
    moved = batch.to(torch.device(device))
    for part in moved.groups():
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if isinstance(value, torch.Tensor):
                assert value.device.type == device, field.name
        assert part.phrases.token_ids_K.device.type == device
        assert part.phrases.offsets_P.device.type == device
    assert batch.images_BCHW.device.type == "cpu", "the original stays where it was"
