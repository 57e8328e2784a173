"""Sets share a machine by size, each of them once, and the bytes do not depend on it."""

from __future__ import annotations

import dataclasses
import itertools

from omnidet.data.sharding import build, finish, grouping
from tests.data.sharding.small import CONFIG, files_of

CUT = dataclasses.replace(CONFIG, samples_per_shard=10)


def _sets(world) -> tuple[str, ...]:
    return build.plan(str(world), CUT).sets


def test_small_sets_are_one_group(world):
    (group,) = grouping.group(str(world), CUT, _sets(world))
    assert sorted(group) == [(name, (1, 1)) for name in sorted(_sets(world))]


def test_a_group_holds_so_many_pictures_or_one_set(world):
    sets, size = _sets(world), {}
    for name in sets:
        (part,) = itertools.chain.from_iterable(grouping.group(str(world), CUT, [name]))
        size[part] = grouping._count_pieces(name, str(world), CUT, None, 100) * 10
    most = max(size.values())
    assert len(set(size.values())) > 1
    groups = grouping.group(str(world), CUT, sets, pictures=most)
    assert sorted(itertools.chain(*groups)) == sorted(size)
    assert 1 < len(groups) < len(sets)
    assert all(sum(size[part] for part in group) <= most for group in groups)
    alone = grouping.group(str(world), CUT, sets, pictures=1)
    assert [len(group) for group in alone] == [1] * len(sets)


def test_parts_of_a_large_set_are_in_groups_of_their_own(world):
    config = dataclasses.replace(CUT, parts=3)
    groups = grouping.group(str(world), config, ["train/coco"], pictures=10)
    assert sorted(groups) == [[("train/coco", (i, 3))] for i in (1, 2, 3)]
    together = grouping.group(str(world), config, ["train/coco"], pictures=10_000)
    assert [len(group) for group in together] == [3]


def test_no_more_of_a_set_is_counted_than_fills_a_machine(world, monkeypatch):
    counted = []
    own = grouping._count_pieces

    def count(*given):
        counted.append(own(*given))
        return counted[-1]

    monkeypatch.setattr(grouping, "_count_pieces", count)
    grouping.group(str(world), CUT, ["train/coco"], pictures=10)
    grouping.group(str(world), CUT, ["train/coco"], pictures=10_000)
    assert counted[0] == 1 < counted[1]


def test_the_shards_are_the_same_in_any_groups(world, tmp_path):
    planned = build.plan(str(world), CUT)
    folders = []
    for pictures in (1, 10_000):
        out = str(tmp_path / str(pictures))
        for group in grouping.group(str(world), CUT, planned.sets, pictures=pictures):
            for name, part in group:
                build.build_set(str(world), out, name, planned.held_out, CUT, None, part)
        for name in planned.sets:
            finish.finish_set(out, name)
        finish.merge(out, planned.sets)
        folders.append(files_of(out))
    assert folders[0] == folders[1]
