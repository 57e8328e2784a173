"""The whole chain through the command line, on a small world: every artifact is there and whole, and a kill leaves none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omnidet import cli, steps
from omnidet.inference.detector import OmniDet
from omnidet.model import bundle
from omnidet.registry import versions
from omnidet.training import metrics
from tests import toys

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SETTINGS = ["--recipe", "tiny_world", *(part for field in (*toys.SMALL, "mixing.workers=1") for part in ("--set", field))]
METRICS = {
    *("coco/AP", "coco/AP50", "lvis/AP", "refcocog/AIGT", "refcocog/AIGT_plain", "refcocog/AIGT_relational"),
    *("refcocog/AIGT_unseen", "flickr30k/R@1", "flickr30k/R@5", "flickr30k/R@10"),
}


def _run(*arguments: object) -> None:
    assert cli.main([str(a) for a in arguments]) == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """The chain up to the vocabulary."""
    folder = tmp_path_factory.mktemp("steps")
    _run("world", *SETTINGS, "--out", folder / "world")
    _run("shards", *SETTINGS, "--data", folder / "world", "--out", folder / "shards")
    _run("vocabulary", *SETTINGS, "--shards", folder / "shards", "--out", folder / "vocabulary")
    return folder


def _train(place: Path, out: Path) -> list[str]:
    inputs = ["--shards", str(place / "shards"), "--vocabulary", str(place / "vocabulary")]
    return ["train", *SETTINGS, *inputs, "--out", str(out)]


def test_the_whole_chain(place, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, shard_folder = tmp_path / "model", place / "shards"
    _run(*_train(place, model))
    rows = metrics.read(model / "training.jsonl")
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10]
    content = bundle.read_config(model)
    assert content["provenance"]["recipe"]["train"]["steps"] == 10
    assert {"run", "dataset_version", "vocabulary_hash", "git_commit", "omnidet_version"} <= set(content["provenance"])
    assert "star" in " ".join(content["names"])

    numbers, evaluation = tmp_path / "metrics.json", tmp_path / "evaluation"
    _run("evaluate", *SETTINGS, "--model", model, "--shards", shard_folder, "--metrics", numbers, "--out", evaluation)
    values = json.loads(numbers.read_text())
    assert set(values) >= METRICS
    assert all(isinstance(value, float) and 0 <= value <= 1 for value in values.values())
    predictions = json.loads((evaluation / "eval_coco.json").read_text())
    assert set(predictions[0]) == {"image_id", "category_id", "bbox", "score"}

    report = tmp_path / "report.html"
    _run(
        *("report", *SETTINGS, "--model", model, "--shards", shard_folder),
        *("--evaluation", evaluation, "--out", report),
    )
    assert "omnidet-tiny-world" in report.read_text()

    for new in (True, False):
        _run("register", *SETTINGS, "--model", model, "--metrics", numbers, "--registry", tmp_path / "registry")
        said = capsys.readouterr().out
        assert ("was registered already" in said) == (not new)
    (version,) = versions.versions(tmp_path / "registry", "omnidet-tiny-world")
    assert version.metrics == values
    detector = OmniDet.from_pretrained(version.folder())

    picture = next((place / "world" / "coco" / "val2017").iterdir())
    _run("predict", picture, "--registry", tmp_path / "registry", "--phrases", "red star", "--threshold", "0")
    drawn = tmp_path / f"{picture.stem}.detections.png"
    assert capsys.readouterr().out.splitlines()[-1] == drawn.name
    assert drawn.is_file()
    assert len(detector.detect([picture.read_bytes()], ["red star"], 5)[0].scores) == 5


def test_the_same_run_twice_gives_the_same_weights(place, tmp_path):
    for name in ("one", "two"):
        _run(*_train(place, tmp_path / name))
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


KILLS = {
    "while training": "from omnidet.training import metrics as m\nm.MetricLog.write = kill_second(m.MetricLog.write)",
    "while it writes the model": "from omnidet.data.vocabulary import Vocabulary as v\nv.save = kill",
}


@pytest.mark.parametrize("moment", KILLS)
def test_a_killed_training_leaves_no_model_and_goes_on(place, tmp_path, moment):
    code = (
        "import os, signal, sys\n"
        "def kill(*a): os.kill(os.getpid(), signal.SIGKILL)\n"
        "def kill_second(real):\n"
        "    seen = []\n"
        "    def act(self, row):\n"
        "        seen.append(row)\n"
        "        return kill() if len(seen) == 3 else real(self, row)\n"
        "    return act\n"
        f"{KILLS[moment]}\nfrom omnidet import cli\nsys.exit(cli.main(sys.argv[1:]))\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, *_train(place, tmp_path / "model")],
        cwd=ROOT, capture_output=True, text=True, timeout=240, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "model").exists()
    (work,) = (tmp_path / "model.work").iterdir()
    assert metrics.read(work / "metrics.jsonl")
    assert list((work / "checkpoints").iterdir())
    _run(*_train(place, tmp_path / "model"))
    OmniDet.from_pretrained(tmp_path / "model")
    assert not list(tmp_path.glob(".model.stage-*"))
    _run(*_train(place, tmp_path / "whole"))
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_a_change_of_the_recipe_is_another_run_and_one_of_the_evaluation_is_not(place):
    index = steps.shards.read_index(str(place / "shards"))
    words = steps.vocabulary_module.Vocabulary.load(place / "vocabulary")

    def run(*fields: str) -> str:
        recipe = steps.configuration.override(toys.recipe(), *fields)
        return steps.provenance(recipe, index, words)["run"]

    assert run() == run("register.name=other") == run("world.val_images=9")
    assert len({run(), run("train.seed=1"), run("model.embedding_width=8"), run("mixing.max_names=3")}) == 4
