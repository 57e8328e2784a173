"""The benchmark of relations: which expressions it counts as what, and that it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from omnidet.data.tiny_world.expressions import Relation, relational_expressions
from omnidet.data.tiny_world.scenes import Scene, Thing
from tests import toys

ROOT = Path(__file__).parents[2]


def _thing(colour: str, shape: str, x: int) -> Thing:
    return Thing(colour, shape, "small", (x, 50.0, x + 20.0, 70.0), 300)


@pytest.mark.parametrize(
    ("things", "target", "head", "landmark", "kind"),
    [
        ((("red", "star"), ("blue", "dog")), 0, "star", "dog", "alone"),
        ((("red", "star"), ("blue", "dog"), ("red", "star")), 0, "star", "dog", "rivals"),
        ((("red", "star"), ("blue", "star")), 0, "star", "blue star", "landmark"),
        ((("red", "star"), ("blue", "star")), 0, "red star", "blue star", "alone"),
        ((("red", "dog"), ("blue", "hot dog")), 0, "dog", "hot dog", "alone"),
    ],
)
def test_kinds_are_told_by_what_the_head_fits(monkeypatch, things, target, head, landmark, kind):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import relations

    scene = Scene(128, tuple(_thing(*words, 5 + 45 * i) for i, words in enumerate(things)))
    (found,) = (
        one
        for one in relational_expressions(scene, target)
        if (one.head, one.relation, one.landmark) == (head, "left of", landmark)
    )
    assert relations._kind(scene, found) == kind


def test_what_fits_nothing_has_the_other_side_or_a_shape_that_is_not_there(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import relations

    scene = Scene(128, (_thing("red", "star", 5), _thing("blue", "hot dog", 50)))
    said = Relation("star", "left of", "hot dog", False)
    random = np.random.default_rng(0)
    for _ in range(50):
        as_it_is, other_side, not_there = relations._said(said, scene, random)
        assert (as_it_is, other_side) == ("star left of hot dog", "star right of hot dog")
        assert not_there.startswith("star left of ")
        assert not not_there.endswith((" star", " dog"))


@pytest.mark.slow
def test_shares_of_each_kind_are_written(tmp_path):
    model, out = tmp_path / "model", tmp_path / "out.json"
    toys.write_bundle(model)
    command = [sys.executable, str(ROOT / "benchmarks" / "relations.py"), "--model", str(model)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    options = ["--each", "3", "--json", str(out)]
    ran = subprocess.run([*command, *options], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    shares = json.loads(out.read_text())
    ways = {f"shown {way}" for way in ("as it is", "the other side", "landmark not there")}
    assert set(shares) == {"alone", "rivals", "landmark", *ways}
    assert all(share * 3 == pytest.approx(round(share * 3)) for share in shares.values())
    assert "| rivals " in ran.stdout
