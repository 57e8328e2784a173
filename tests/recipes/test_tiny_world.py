from __future__ import annotations

import dataclasses

from omnidet.recipes.tiny_world import tiny_world, tiny_world_det


def test_the_comparison_differs_in_its_streams_alone():
    demo, alone = tiny_world(), tiny_world_det()
    assert [stream.name for stream in demo.streams] == ["det", "grd", "img"]
    assert alone.streams == demo.streams[:1]
    assert alone.register != demo.register  # each has versions of its own
    same = dataclasses.replace(alone, streams=demo.streams, register=demo.register)
    assert same == demo
