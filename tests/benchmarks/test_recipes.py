"""The head to head of recipes, at toy size; and its arithmetic, on numbers made up here."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from omnidet import config
from omnidet.evaluation import resampling
from omnidet.recipes.tiny_world import tiny_world
from omnidet.training.config import TrainConfig
from tests import toy_runs, toys

ROOT = Path(__file__).parents[2]
SIZE = tuple(s for s in toy_runs.SMALL if not s.startswith("train.") and "workers" not in s)


@pytest.fixture(autouse=True)
def _scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def _run(*arguments: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / "recipes.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=1200, env=environment)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _set(*settings: str) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """The data that the script itself made."""
    out = tmp_path_factory.mktemp("world")
    arguments = ["--out", str(out), "--only", "ours", "--steps", "1", "--names", "5"]
    _run(*arguments, *_set(*SIZE))
    return out / "data"


@pytest.mark.slow
def test_every_contestant_is_run_once_and_told_in_all_forms(world, tmp_path):
    from recipe_contestants import CONTESTANTS

    out, page, plot = (tmp_path / name for name in ("out.json", "page.md", "out.svg"))
    page.write_text("# Results\n\nWritten by hand.\n")
    arguments = ["--out", str(tmp_path / "runs"), "--data", str(world), "--steps", "4"]
    arguments += ["--names", "5", "50", "--json", str(out), "--report", str(page)]
    arguments += ["--plot", str(plot), *_set(*SIZE)]
    told = _run(*arguments)
    values = json.loads(out.read_text())
    for name in CONTESTANTS:
        assert 0 <= values[f"{name}/0/coco/AP"] <= 1
        assert 0 <= values[f"{name}/0/refcocog/AIGT_unseen"] <= 1
        assert 0 <= values[f"{name}/0/calibration/lvis"] <= 1
        assert 0 <= values[f"{name}/0/fitted/flickr30k"] <= 1
        assert values[f"{name}/0/steps"] == pytest.approx(4, abs=1)
        assert values[f"{name}/0/inference_50"] > 0
        assert values[f"{name}/0/reading_50"] > 0
    assert values["owl-vit/0/parameters"] != values["ours/0/parameters"]
    assert values["bag-of-tokens/0/parameters"] < values["ours/0/parameters"]
    assert values["no-captions/0/coco/AP"] == values["det+grd/0/coco/AP"]
    kept = sorted((tmp_path / "runs" / "runs").glob("*/result.json"))
    assert len(kept) == len(CONTESTANTS) - 1  # two of them are the same run
    assert "Written by hand." in page.read_text()
    for text in (told, page.read_text()):
        assert "|  | ours | owl-vit | grounding-dino | staged |" in text
    assert plot.read_text().count("<polyline") == 4 * 4  # panels, heads
    changed = json.loads(kept[0].read_text())
    changed["values"]["coco/AP"] = 0.123
    kept[0].write_text(json.dumps(changed))
    again = _run(*arguments)
    assert ".123" in again  # read, not run again
    assert page.read_text().count("<!-- equal steps -->") == 1
    assert sorted((tmp_path / "runs" / "runs").glob("*/result.json")) == kept


@pytest.mark.slow
def test_with_a_budget_cheaper_contestants_take_more_steps(world, tmp_path):
    out = tmp_path / "out.json"
    arguments = ["--out", str(tmp_path), "--data", str(world), "--budget", "0.03"]
    arguments += ["--only", "ours", "det", "--names", "5", "--json", str(out)]
    told = _run(*arguments, *_set(*SIZE))
    values = json.loads(out.read_text())
    assert values["det/0/steps"] > values["ours/0/steps"]
    assert "0.03 processor minutes" in told
    for name in ("ours", "det"):
        assert values[f"{name}/0/minutes"] == pytest.approx(0.03, rel=0.7)


def _task(name: str, world: Path, out: Path, steps: int = 6):
    import recipe_runs
    from recipes import OWN

    recipe = config.override(tiny_world(), *SIZE, *OWN, "train.checkpoint_every=2")
    recipe = config.override(recipe, f"train.steps={steps}", "train.optimizer.warmup_steps=2")
    return recipe_runs.Task(name, recipe, world, out)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ours", "owl-vit", "grounding-dino", "staged"])
def test_a_run_that_was_killed_ends_with_the_same_weights(name, world, tmp_path, monkeypatch):
    import recipe_runs

    whole, stopped = (_task(name, world, tmp_path / part) for part in ("whole", "stopped"))
    assert recipe_runs.result(whole)["steps"] == pytest.approx(6, abs=1)
    taken = []

    class Stopping(recipe_runs.Clocked):
        def __iter__(self):
            for batch in super().__iter__():
                if len(taken) == 5:
                    raise KeyboardInterrupt
                taken.append(self.step)
                yield batch

    with monkeypatch.context() as during:
        during.setattr(recipe_runs, "Clocked", Stopping)
        with pytest.raises(KeyboardInterrupt):
            recipe_runs.result(stopped)
    assert not (stopped.folder / "result.json").exists()
    found = recipe_runs.result(stopped)
    weights = [load_file(task.folder / "model.safetensors") for task in (whole, stopped)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert found["values"] == recipe_runs.result(whole)["values"]
    assert found["steps"] == recipe_runs.result(whole)["steps"]
    assert [p["step"] for p in found["curve"]] == [
        p["step"] for p in recipe_runs.result(whole)["curve"]
    ]


@pytest.mark.slow
def test_what_a_run_depends_on_and_nothing_else_names_its_folder(world, tmp_path):
    task = _task("ours", world, tmp_path)
    assert task.folder == _task("ours", world, tmp_path).folder
    others = [_task("ours", world, tmp_path, steps=7), _task("bag-of-tokens", world, tmp_path)]
    seeded = config.override(task.recipe, "train.seed=1")
    others.append(dataclasses.replace(task, recipe=seeded))
    assert len({t.folder for t in (task, *others)}) == 4
    often = config.override(task.recipe, "train.checkpoint_every=1")
    assert dataclasses.replace(task, recipe=often).folder == task.folder
    same = _task("no-captions", world, tmp_path), _task("det+grd", world, tmp_path)
    assert same[0].folder == same[1].folder


def test_stages_see_the_images_of_the_joint_training_one_stream_after_the_other():
    from recipe_contestants import CONTESTANTS

    recipe = config.override(tiny_world(), "train.steps=800")
    stages = CONTESTANTS["staged"].stages(recipe)
    seen = [
        {s.name: s.images_per_step * stage.train.steps for s in stage.streams if s.images_per_step}
        for stage in stages
    ]
    assert seen == [{"img": 800}, {"det": 7 * 800}, {"grd": 8 * 800}]
    assert [stage.train.optimizer.warmup_steps for stage in stages] == [3, 22, 25]


def test_what_is_left_out_changes_nothing_else():
    from recipe_contestants import CONTESTANTS

    recipe = tiny_world()
    (own,) = CONTESTANTS["det"].stages(recipe)
    assert [s.images_per_step for s in own.streams] == [7, 0, 0]
    assert dataclasses.replace(own, streams=recipe.streams) == recipe
    (own,) = CONTESTANTS["no-token-alignment"].stages(recipe)
    left = [one for one in recipe.losses if one.name != "token_alignment"]
    assert list(own.losses) == left
    assert len(left) == len(recipe.losses) - 1
    assert dataclasses.replace(own, losses=recipe.losses) == recipe
    (own,) = CONTESTANTS["no-relations"].stages(recipe)
    assert [s.transforms for s in own.streams] == [("flip", "crop"), ("flip",), ("flip",)]
    assert dataclasses.replace(own, streams=recipe.streams) == recipe
    for name in ("owl-vit", "grounding-dino"):
        (own,) = CONTESTANTS[name].stages(recipe)
        assert own.train == TrainConfig(**vars(recipe.train))
        assert dataclasses.replace(own, losses=recipe.losses) == recipe
        assert [one.weight for one in own.losses] == [one.weight for one in left]


def _result(name: str, seed: int, value: float, drawn: list[float | None] | None = None) -> dict:
    key = "coco/AP"
    return {
        "contestant": name,
        "seed": seed,
        "steps": 4,
        "processor_minutes": 1.0,
        "step_seconds": 0.5,
        "parameters": 2_000_000,
        "values": {key: value},
        "resamples": {} if drawn is None else {key: drawn},
        "curve": [{"step": 4, "minutes": 1.0, "AP": value, "AP50": value, "referring": 0.5}],
        "inference": {"80": 0.01},
    }


def test_differences_are_paired_by_image():
    from recipe_tables import difference

    draw = np.random.default_rng(0)
    hard_B = draw.normal(0.4, 0.1, resampling.RESAMPLES)  # how hard the drawn images are
    ours = [_result("ours", 0, 0.45, list(hard_B + 0.05))]
    other = [_result("owl-vit", 0, 0.40, list(hard_B + draw.normal(0, 0.001, len(hard_B))))]
    found = difference(ours, other, "coco/AP")
    assert found.value == pytest.approx(0.05)
    assert 0.04 < found.interval[0] < 0.05 < found.interval[1] < 0.06
    assert found.is_clear


def test_the_interval_holds_the_spread_over_seeds():
    from recipe_tables import difference

    same = [0.5] * resampling.RESAMPLES  # no difference between images at all
    ours = [_result("ours", s, v, [v] * len(same)) for s, v in enumerate((0.4, 0.5, 0.6))]
    other = [_result("det", s, 0.5, same) for s in range(3)]
    found = difference(ours, other, "coco/AP")
    assert found.value == pytest.approx(0)
    assert found.interval[0] < -0.05
    assert found.interval[1] > 0.05
    assert not found.is_clear
    without = [_without_resamples(r) for r in ours], [_without_resamples(r) for r in other]
    assert difference(*without, "coco/AP").interval == pytest.approx(found.interval, abs=0.03)


def _without_resamples(result: dict) -> dict:
    return {**result, "resamples": {}}


def test_only_seeds_that_both_have_are_compared():
    from recipe_tables import difference

    ours = [_result("ours", 0, 0.4), _result("ours", 1, 0.9)]
    found = difference(ours, [_result("det", 0, 0.3)], "coco/AP")
    assert found.value == pytest.approx(0.1)
    assert found.interval is None
    assert difference(ours, [_result("det", 2, 0.3)], "coco/AP") is None
    assert difference(ours, [_result("det", 0, 0.3)], "lvis/AP") is None


def test_the_table_has_means_and_spreads_and_marks_what_is_clear():
    from recipe_tables import text

    runs = [
        _result(name, seed, value + seed / 100, [value + seed / 100] * resampling.RESAMPLES)
        for name, value in (("ours", 0.5), ("owl-vit", 0.4), ("staged", 0.6))
        for seed in (0, 1)
    ]
    told = text(runs, "4 steps")
    assert "| COCO-style AP | .505 ± .007 | .405 ± .007 | .605 ± .007 |" in told
    assert "| COCO-style AP | **+.100** [.100, .100] | *−.100* [−.100, −.100] |" in told
    assert "| parameters, millions | 2.00 | 2.00 | 2.00 |" in told
    assert "Seeds: 0, 1." in told
    alone = text(runs[:1], "4 steps")
    assert "over images alone" in " ".join(alone.split())


def test_lower_is_better_for_errors(monkeypatch):
    import recipe_tables

    key = "absent/false_positive_rate"
    one = recipe_tables.Difference(-0.1, (-0.2, -0.05))
    assert recipe_tables._told(one, key).startswith("**−.100**")
    assert recipe_tables._told(one, "coco/AP").startswith("*−.100*")
    control = recipe_tables.CONTROLS[0]
    assert recipe_tables._told(one, control).startswith("−.100 ")


def test_a_page_keeps_what_is_written_by_hand(tmp_path):
    from recipe_tables import put

    page = tmp_path / "page.md"
    page.write_text("# Title\n\nBefore.\n\n<!-- a -->\nold\n<!-- end of a -->\n\nAfter.\n")
    put(page, "a", "new")
    put(page, "b", "other")
    text = page.read_text()
    assert "old" not in text
    places = [text.index(part) for part in ("Before.", "new", "After.", "other")]
    assert places == sorted(places)


def test_curves_are_means_over_seeds():
    from recipe_tables import series

    found = series([_result("ours", 0, 0.2), _result("ours", 1, 0.4)])
    assert found["COCO-style AP50 after steps"]["ours"] == [(4, pytest.approx(0.3))]
    assert found["Referring after processor minutes"]["ours"] == [(1.0, 0.5)]


def test_curves_are_of_the_heads_where_there_are_several():
    from recipe_tables import series

    streams = [_result("ours", 0, 0.2), _result("det", 0, 0.1)]
    assert set(series(streams)["COCO-style AP50 after steps"]) == {"ours", "det"}
    both = series([*streams, _result("owl-vit", 0, 0.1)])
    assert set(both["COCO-style AP50 after steps"]) == {"ours", "owl-vit"}


def test_calibration_errors_are_those_of_the_drawn_images():
    from recipe_quality import calibration_errors

    score, right = np.array([0.95, 0.95, 0.15]), np.array([True, False, False])
    image = np.array([0, 1, 2])
    whole, found = calibration_errors(score, right, image, 3)
    assert whole == pytest.approx((0.9 + 0.15) / 3)
    for error, weight in zip(found, resampling.draw(3), strict=True):
        high = abs(weight[0] * (0.95 - 1) + weight[1] * 0.95)
        assert error == pytest.approx((high + weight[2] * 0.15) / 3)


def test_fitted_scores_are_fitted_on_the_other_half_of_the_images():
    """Even pictures: right as often as the score says. Odd ones: far more often."""
    from recipe_quality import calibration_errors, fitted

    draw = np.random.default_rng(0)
    score, image = draw.uniform(0.05, 0.6, 4000), np.arange(4000)
    modest = 1 / (1 + np.exp(-(np.log(score / (1 - score)) + 2)))
    right = draw.random(4000) < np.where(image % 2, modest, score)
    found = fitted(score, right, image)
    assert found[image % 2 == 0] == pytest.approx(modest[image % 2 == 0], abs=0.06)
    assert found[image % 2 == 1] == pytest.approx(score[image % 2 == 1], abs=0.06)
    right = draw.random(4000) < modest
    assert calibration_errors(score, right, image, 4000)[0] > 0.3
    assert calibration_errors(fitted(score, right, image), right, image, 4000)[0] < 0.03


def test_names_are_distinct_and_the_same_each_time():
    from recipe_quality import made_up

    names = made_up(toys.toy_vocabulary(), 5000)
    assert len(set(names)) == 5000
    assert names == made_up(toys.toy_vocabulary(), 5000)
    assert {len(name.split()) for name in names} == {2, 3}
