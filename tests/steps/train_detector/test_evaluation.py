"""Evaluation as a step: after the whole chain, on several ranks, and never on training images."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from omnidet import storage
from omnidet.data import shards
from omnidet.inference.detector import OmniDet
from omnidet.measures import run as run_module
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.model import bundle
from omnidet.recipes.recipe import Recipe
from omnidet.registry import versions
from omnidet.steps import train_detector
from omnidet.steps.train_detector import evaluation
from omnidet.training import distributed, metrics
from tests import leaking, toy_runs, toys
from tests.steps.train_detector.conftest import SETTINGS, run, train_command

ROOT = Path(__file__).parents[3]
METRICS = {
    *("coco/AP", "coco/AP50", "lvis/AP", "refcocog/AIGT", "refcocog/AIGT_plain"),
    *("refcocog/AIGT_relational", "refcocog/AIGT_unseen"),
    *("flickr30k/R@1", "flickr30k/R@5", "flickr30k/R@10"),
}


@pytest.mark.slow
def test_the_whole_chain(place, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, shards, registry = tmp_path / "model", place / "shards", tmp_path / "registry"
    run(*train_command(place, model))
    rows = metrics.read(model / "training.jsonl")
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10]
    content = bundle.read_config(model)
    assert content["provenance"]["recipe"]["train"]["steps"] == 10
    facts = {"run", "dataset_version", "vocabulary_hash", "git_commit", "omnidet_version"}
    assert facts <= set(content["provenance"])
    assert "star" in " ".join(content["names"])

    numbers, evaluation = tmp_path / "metrics.json", tmp_path / "evaluation"
    of_model = ("--model", model, "--shards", shards)
    run("evaluate", *SETTINGS, *of_model, "--metrics", numbers, "--out", evaluation)
    values = json.loads(numbers.read_text())
    assert set(values) >= METRICS
    assert all(isinstance(value, float) and 0 <= value <= 1 for value in values.values())
    predictions = json.loads((evaluation / "eval_coco.json").read_text())
    assert set(predictions[0]) == {"image_id", "category_id", "bbox", "score"}
    written = json.loads((evaluation / "index.json").read_text())
    assert written["training_images_compared"]
    assert written["sets"].keys() == written["details"].keys()
    assert set(written["details"]["coco"]["intervals"]) <= {"AP", "AP50"}
    assert not list(tmp_path.glob("evaluation.parts*"))

    report = tmp_path / "report.html"
    run("report", *SETTINGS, *of_model, "--evaluation", evaluation, "--out", report)
    assert "omnidet-tiny-world" in report.read_text()

    for said in (" registered in", "was registered already"):
        call = ("--model", model, "--metrics", numbers, "--registry", registry)
        run("register", *SETTINGS, *call)
        assert said in capsys.readouterr().out
    (version,) = versions.versions(registry, "omnidet-tiny-world")
    assert version.metrics == values
    detector = OmniDet.from_pretrained(version.folder())

    picture = next((place / "world" / "coco" / "val2017").iterdir())
    asked = ("--phrases", "red star", "--threshold", "0")
    run("predict", picture, "--registry", registry, *asked)
    drawn = tmp_path / f"{picture.stem}.detections.png"
    assert capsys.readouterr().out.splitlines()[-1] == drawn.name
    assert drawn.is_file()
    assert len(detector.detect(picture, "red star", 5).scores) == 5


@pytest.mark.slow
def test_two_ranks_evaluate_as_one(place, tmp_path):
    toys.write_bundle(tmp_path / "model")
    inputs = ["--model", str(tmp_path / "model"), "--shards", str(place / "shards")]

    def command(name: str) -> list[str]:
        outputs = ["--metrics", str(tmp_path / f"{name}.json"), "--out", str(tmp_path / name)]
        return ["evaluate", *SETTINGS, *inputs, *outputs]

    run(*command("one"))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *torchrun, "-m", "omnidet.cli", *command("two")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "two.json").read_text() == (tmp_path / "one.json").read_text()
    files = [path.name for path in sorted((tmp_path / "one").iterdir())]
    assert [path.name for path in sorted((tmp_path / "two").iterdir())] == files
    for name in files:
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert not list(tmp_path.glob("*.parts*"))


def test_an_image_that_was_trained_on_stops_the_evaluation(tmp_path, capsys):
    folder = tmp_path / "shards"
    facts, recipe = leaking.write(folder)
    outputs = (tmp_path / "metrics.json", tmp_path / "out", recipe)
    for name, version in (("same", facts["dataset_version"]), ("other", "none")):
        (tmp_path / name).mkdir()
        provenance = facts | {"dataset_version": version}
        detector, words = toys.toy_detector(), toys.toy_vocabulary()
        bundle.save(tmp_path / name, detector, words, list(toys.NAMES), provenance)
    with pytest.raises(ValueError, match="eval/refcocog"):
        train_detector.evaluate(tmp_path / "same", folder, *outputs)
    assert not (tmp_path / "metrics.json").exists()
    train_detector.evaluate(tmp_path / "other", folder, *outputs)
    assert "trained on other shards" in capsys.readouterr().out
    assert not json.loads((tmp_path / "out" / "index.json").read_text())["training_images_compared"]


def _two_detectors(tmp_path: Path) -> tuple[Path, Recipe]:
    """`one` and `two`, of other weights; gives shards to measure them on."""
    folder = tmp_path / "shards"
    _, recipe = leaking.write(folder)
    for name, seed in (("one", 0), ("two", 1)):
        (tmp_path / name).mkdir()
        detector, words = toys.toy_detector(seed), toys.toy_vocabulary()
        bundle.save(tmp_path / name, detector, words, list(toys.NAMES), {})
    return folder, recipe


def test_two_evaluations_into_one_folder_do_not_take_each_others_predictions(tmp_path, monkeypatch):
    folder, recipe = _two_detectors(tmp_path)
    outputs = (tmp_path / "metrics.json", tmp_path / "out", recipe)
    real = run_module.evaluate

    def meanwhile(*given):
        monkeypatch.setattr(run_module, "evaluate", real)
        with pytest.raises(ValueError, match="out"):
            train_detector.evaluate(tmp_path / "two", folder, *outputs)
        return real(*given)

    monkeypatch.setattr(run_module, "evaluate", meanwhile)
    train_detector.evaluate(tmp_path / "one", folder, *outputs)
    assert not list(tmp_path.glob("out.parts*"))
    found = (tmp_path / "out/eval_refcocog.json").read_bytes()
    train_detector.evaluate(tmp_path / "one", folder, *outputs)
    assert (tmp_path / "out/eval_refcocog.json").read_bytes() == found


@pytest.mark.s3
@pytest.mark.parametrize("is_killed", [True, False])
def test_nor_do_they_on_an_object_store(s3, tmp_path, monkeypatch, is_killed):
    """Where nothing tells one of the other, which ends in between or dies with its work half
    done."""
    monkeypatch.chdir(tmp_path)
    folder, recipe = _two_detectors(tmp_path)
    real = distributed.barrier

    def measure(name: str, out: str) -> None:
        train_detector.evaluate(tmp_path / name, folder, f"{s3.uri}/{name}.json", out, recipe)

    def dies() -> None:
        raise SystemExit(137)

    def meanwhile() -> None:
        monkeypatch.setattr(distributed, "barrier", dies if is_killed else real)
        with contextlib.suppress(SystemExit):
            measure("two", f"{s3.uri}/shared")
        monkeypatch.setattr(distributed, "barrier", real)

    measure("one", f"{s3.uri}/alone")
    monkeypatch.setattr(distributed, "barrier", meanwhile)
    measure("one", f"{s3.uri}/shared")
    for file in ("eval_refcocog.json", storage.INDEX_NAME):
        alone, shared = (
            storage.read_bytes(f"{s3.uri}/{out}/{file}") for out in ("alone", "shared")
        )
        assert shared == alone
    assert bool(storage.list_files(f"{s3.uri}/shared.parts")) == is_killed
    measure("two", f"{s3.uri}/shared")  # which takes its own work away
    assert storage.list_files(f"{s3.uri}/shared.parts") == []


def test_a_curve_of_a_sample_is_said_to_be_one(tmp_path):
    index = toys.write_shards(tmp_path / "shards")
    (name, members), *_ = index.sets.items()
    count = shards.num_samples(members)
    recipe = dataclasses.replace(
        toy_runs.recipe(), evaluation=EvaluationConfig((Benchmark("own", "coco", name),))
    )

    def said(most):
        facts = {"recipe": {"train": {"score_images": most}}}
        return evaluation._scored_on(index, recipe, facts)

    assert f"{count - 1} of the {count} evaluation pictures" in said(count - 1)
    assert said(count) == ""
    assert evaluation._scored_on(index, recipe, {}) == ""
