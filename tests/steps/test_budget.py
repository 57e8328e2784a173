"""A time becomes a number of steps, once for each run; measuring on the way is a small part."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from omnidet.config import override
from omnidet.steps import budget
from omnidet.steps.budget import Times
from tests import evaluations, toy_runs, toys

TIMES = Times({"1": 0.5, "2": 0.8}, 0.05, 60)


@pytest.fixture
def measured(tmp_path, monkeypatch) -> list[object]:
    """Every measurement says half a second per step, and is noted."""
    toys.write_shards(tmp_path / "shards")
    calls: list[object] = []
    monkeypatch.setattr(budget, "measure", lambda *given: calls.append(given) or TIMES)
    return calls


def _plan(tmp_path, **asked) -> budget.Budget:
    place = tmp_path / "shards", "words", toy_runs.recipe(), tmp_path / "run"
    return budget.plan(*place, **asked)


def test_training_measuring_and_evaluation_fill_the_time(measured, tmp_path):
    made = _plan(tmp_path, minutes=10)
    on_the_way = made.steps // made.score_every * made.score_images * 0.05
    whole = made.steps * 0.5 + on_the_way + 60 * 0.05
    assert whole == pytest.approx(600, abs=5)
    assert 0 < on_the_way <= budget.SCORING_SHARE * 600
    assert made.score_images == 60
    content = json.loads((tmp_path / "run" / budget.NAME).read_text())
    assert (content["steps"], content["threads"]) == (made.steps, 1)


def test_a_run_that_continues_is_not_measured_again(measured, tmp_path):
    assert _plan(tmp_path, minutes=3) == _plan(tmp_path, minutes=3)
    assert len(measured) == 1
    assert _plan(tmp_path, minutes=6).steps > _plan(tmp_path, minutes=3).steps
    assert len(measured) == 2


def test_a_run_goes_on_after_another_time_was_asked_for(measured, tmp_path, monkeypatch):
    """The machine is busier by then: with fewer steps a new run would start, the old be lost."""
    first = _plan(tmp_path, minutes=3)
    busier = dataclasses.replace(TIMES, seconds_by_threads={"1": 0.9})
    monkeypatch.setattr(budget, "measure", lambda *_: busier)
    others = [_plan(tmp_path, minutes=10), _plan(tmp_path, steps=7)]
    assert _plan(tmp_path, minutes=3) == first
    assert [_plan(tmp_path, minutes=10), _plan(tmp_path, steps=7)] == others


def test_to_finish_is_to_finish_what_was_trained_last(measured, tmp_path):
    _plan(tmp_path, minutes=6)
    last = _plan(tmp_path, minutes=3)
    assert _plan(tmp_path, minutes=10, finishes=True) == last
    _plan(tmp_path, minutes=6)
    assert _plan(tmp_path, minutes=10, finishes=True) != last
    assert len(measured) == 2


def test_another_training_in_the_same_folder_is_measured_anew(measured, tmp_path):
    """A larger network takes longer a step: with the steps of another it would take hours."""
    recipe, place = toy_runs.recipe(), tmp_path / "run"
    judged = override(recipe, "gate.max_drop=0.5", "train.checkpoint_every=7")
    larger = override(recipe, "model.backbone.depth=7")
    for one in (recipe, judged, larger, larger):
        budget.plan(tmp_path / "shards", "words", one, place, minutes=3)
    assert [given[2] for given in measured] == [recipe, larger]
    content = json.loads((place / budget.NAME).read_text())
    del content["training"]  # as earlier versions wrote it
    (place / budget.NAME).write_text(json.dumps(content))
    budget.plan(tmp_path / "shards", "words", larger, place, minutes=3)
    assert len(measured) == 2


def test_the_faster_number_of_threads_is_kept_for_the_training(measured, tmp_path):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        made = _plan(tmp_path, minutes=3)
        assert (made.threads, torch.get_num_threads()) == (1, 1)
    finally:
        torch.set_num_threads(before)
    for part in ("0.50 s with 1 thread,", "0.80 s with 2 threads", f"{made.steps} steps"):
        assert part in made.describe()


@pytest.mark.parametrize("minutes", [0.001, 0.1, 1, 60])
@pytest.mark.parametrize("images", [3, 60, 5000])
def test_measuring_is_a_small_share_of_any_time(minutes, images):
    times = dataclasses.replace(TIMES, evaluation_images=images)
    made = budget.shared_out(times, 200, minutes * 60, None)
    assert made.steps >= budget.LEAST_STEPS
    times_measured = made.steps // made.score_every if made.score_every else 0
    assert times_measured * made.score_images * 0.05 <= 0.051 * max(minutes * 60, made.steps * 0.5)
    assert times_measured <= budget.MOST_SCORES


def test_a_time_that_is_too_short_for_any_training_is_said(measured, tmp_path):
    said = "the fewest, which takes longer"
    assert said in _plan(tmp_path, minutes=0.1).describe()
    assert said not in _plan(tmp_path, minutes=1).describe()
    assert said not in _plan(tmp_path, steps=budget.LEAST_STEPS).describe()


def test_steps_that_are_given_are_taken(measured, tmp_path):
    made = _plan(tmp_path, steps=300)
    assert made.steps == 300
    assert made.applied(toy_runs.recipe()).train.steps == 300
    assert made.applied(toy_runs.recipe()).train.score_every == made.score_every > 0
    unmeasured = dataclasses.replace(made, score_every=0, score_images=0)
    images = toy_runs.recipe().train.score_images
    assert unmeasured.applied(toy_runs.recipe()).train.score_images == images


def test_a_real_measurement(tmp_path):
    index = evaluations.index(tmp_path / "shards")
    sets = dataclasses.replace(index, sets={**index.sets, "train/x": index.sets["eval/coco"]})
    toys.write_vocabulary(tmp_path / "words")
    recipe = toy_runs.recipe()
    (stream,) = (s for s in recipe.streams if s.name == "det")
    recipe = dataclasses.replace(
        recipe, streams=(dataclasses.replace(stream, sets=("train/x",), images_per_step=2),)
    )
    times = budget.measure(sets, tmp_path / "words", recipe)
    assert all(seconds > 0 for seconds in times.seconds_by_threads.values())
    assert "1" in times.seconds_by_threads
    assert 0 < times.seconds_per_picture < 5
