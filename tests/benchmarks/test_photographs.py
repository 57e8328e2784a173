"""The benchmarks on photographs, at toy size on drawn pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from omnidet import config
from omnidet.data.mixing.config import MixingConfig, Stream
from omnidet.data.mixing.mixture import Mixture
from omnidet.recipes.photographs import photographs
from omnidet.steps import train_detector
from tests import taught, toy_runs, toys

ROOT = Path(__file__).parents[2]
SMALL = (
    "model.image_size=64",
    "mixing.workers=0",
    "streams.det.images_per_step=2",
)


@pytest.fixture(autouse=True)
def _scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def _run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _set(settings: tuple[str, ...], flag: str = "--set") -> list[str]:
    return [part for setting in settings for part in (flag, setting)]


def _voc(folder: Path, names: list[str], count: int) -> Path:
    """Pictures of one coloured box each; the name of the box goes round."""
    for part in ("JPEGImages", "Annotations"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        name, box = names[number % len(names)], (number, 2, number + 20, 30)
        colour = ("purple", "green", "orange", "blue")[number % len(names)]
        (folder / "JPEGImages" / f"{number}.png").write_bytes(toys.png(90, 60, [box], colour))
        (folder / "Annotations" / f"{number}.xml").write_text(taught._xml(name, box))
    return folder


@pytest.mark.slow
def test_every_contestant_is_measured_once_and_the_same_command_goes_on(tmp_path):
    made = taught.prepare(tmp_path / "taught")
    out, plot = tmp_path / "out.json", tmp_path / "out.svg"
    arguments = [str(made / "cells"), "--out", str(tmp_path / "runs"), "--least-steps", "4"]
    arguments += ["--minutes", "0.0001", "--vit", "vit_tiny_patch16_224"]
    arguments += ["--registry", str(made / "registry"), "--champion", f"{taught.NAME}@1"]
    arguments += [*_set(SMALL), *_set((*taught.SETTINGS,), "--champion-set")]
    arguments += ["--json", str(out), "--plot", str(plot)]
    told = _run("photographs", *arguments)
    values = json.loads(out.read_text())
    for contestant in ("photo", "champion", "random", "dense", "vit"):
        assert values[f"cells/{contestant}/0.0001/0/steps"] == 4
        assert 0 <= values[f"cells/{contestant}/0.0001/0/AP50"] <= 1
        assert f"| cells | {contestant} |" in told
    assert plot.read_text().count("<polyline") == 5
    results = sorted((tmp_path / "runs" / "cells" / "results").iterdir())
    first = json.loads(results[0].read_text())
    results[0].write_text(json.dumps(first | {"AP50": 0.123}))
    again = _run("photographs", *arguments)
    assert "0.123" in again  # read, not run again
    assert sorted((tmp_path / "runs" / "cells" / "results").iterdir()) == results


@pytest.mark.slow
@pytest.mark.parametrize("how", ["softmax", "compound-captions"])
def test_left_out_names_are_asked_beside_their_controls(how, tmp_path):
    folder = _voc(tmp_path / "parts", ["Bolt", "Washer", "BoltWasher", "SodaCan"], 40)
    out = tmp_path / "out.json"
    told = _run(
        "words",
        *("--data", str(folder), "--leave-out", "BoltWasher", "SodaCan", "--how", how),
        *("--out", str(tmp_path / "run"), "--json", str(out)),
        *_set((*SMALL, "train.steps=4")),
    )
    values = json.loads(out.read_text())
    value, low, high = values["bolt washer/AUC/name"]
    assert 0 <= low <= value <= high <= 1
    # The score is that of a set of words.
    assert values["bolt washer/R@1/reversed"] == values["bolt washer/R@1/name"]
    asked, near = values["bolt washer/pictures"]
    assert near > 0
    assert asked == (10 if how == "softmax" else asked) < 11
    trained = json.loads((tmp_path / "run/coco/annotations/instances_train.json").read_text())
    assert [c["name"] for c in trained["categories"]] == ["bolt", "washer"]
    assert "all/AUC/name - best word" in told


@pytest.mark.slow
def test_three_streams_are_measured_on_what_was_seen_and_on_what_was_not(tmp_path):
    whole = config.override(toy_runs.recipe(), "world.broken=0")  # what is trained on is judged too
    train_detector.draw_world(str(tmp_path / "world"), whole)
    out = tmp_path / "out.json"
    _run(
        "three_streams",
        *("--data", str(tmp_path / "world" / "coco"), "--out", str(tmp_path / "run")),
        *("--json", str(out)),
        *_set(("model.image_size=64", "mixing.workers=0", "train.steps=3")),
    )
    values = json.loads(out.read_text())
    for split in ("trained on", "held out"):
        assert 0 <= values[f"{split}/names/AP50"] <= 1
    assert values["trained on/captions/photographs"] > 1


def test_the_time_of_a_process_that_makes_batches_counts(monkeypatch):
    import multiprocessing

    import processor_time

    before = processor_time.seconds()
    child = multiprocessing.get_context("fork").Process(target=_work, args=(0.3,))
    child.start()
    child.join(20)
    assert processor_time.seconds() - before >= 0.3


KILLED = """
import os, signal, time
import photographs
if __name__ == "__main__":
    with photographs.own_process() as pool:
        pool.submit(os.getpid).result()  # it has started
        pool.submit(time.sleep, 600)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_training_ends_with_the_benchmark_that_is_killed():
    """The training keeps its output open, so reading it ends when the training has ended."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert killed.returncode == -9, killed.stderr


def _work(seconds: float) -> None:
    while time.process_time() < seconds:
        np.arange(1000).sum()


def test_a_name_that_may_be_there_unmarked_gives_the_dense_detector_no_loss():
    import dense

    recipe = config.override(photographs(), "model.image_size=64", "model.backbone.weights=random")
    detector = dense.build(recipe, 3, dense.Dense())
    detector.train()
    box = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
    target = {"boxes": box, "labels": torch.tensor([1])}
    images = [torch.rand(3, 64, 64)]
    losses = {}
    for known in (True, False):
        unknown = torch.tensor([not known, False, not known])
        losses[known] = detector(images, [target | {"unknown": unknown}])
    assert losses[False]["classification"] < losses[True]["classification"]
    assert losses[False]["bbox_regression"] == losses[True]["bbox_regression"]
    nothing = {"boxes": box[:0], "labels": torch.tensor([], dtype=torch.long)}
    silent = detector(images, [nothing | {"unknown": torch.ones(3, dtype=torch.bool)}])
    assert float(silent["classification"].detach()) == pytest.approx(0, abs=1e-6)


def test_the_dense_detector_gets_the_boxes_and_names_of_the_batch(tmp_path):
    import dense

    index, vocabulary = toys.write_shards(tmp_path), toys.toy_vocabulary()
    stream = Stream("det", ("train/coco",), 4)
    config_of = MixingConfig(max_names=40, workers=0)
    mixture = Mixture(index, vocabulary, (stream,), config_of, image_size=64, seed=0)
    batch = mixture[0]
    columns = {dense._key(*vocabulary.encode(name)): i for i, name in enumerate(toys.NAMES)}
    targets = dense._targets(batch, columns)
    for record, target in zip(mixture.records(0), targets, strict=True):
        expected = {
            (toys.NAMES.index(phrase), *np.round(record.boxes_xyxy[b]).astype(int).tolist())
            for phrase, members in zip(record.phrases, record.phrase_boxes, strict=True)
            for b in members
        }
        found = {
            (int(label), *box.round().int().tolist())
            for label, box in zip(target["labels"], target["boxes"], strict=True)
        }
        assert found == expected
        unlisted = set(toys.NAMES) - {*record.phrases, *record.absent}
        assert {toys.NAMES[i] for i in torch.nonzero(target["unknown"])[:, 0]} == unlisted


def test_the_table_has_means_over_seeds_and_over_sets_only_where_every_set_was_run():
    import photographs as script

    rows = [
        ("cups", "photo", 1, 0, 0.5),
        ("cups", "photo", 1, 1, 0.7),
        ("keys", "photo", 1, 0, 0.2),
    ]
    rows += [("cups", "dense", 1, 0, 0.4), ("cups", "photo", 3, 0, 0.8)]
    keys = ("set", "contestant", "minutes", "seed", "AP50")
    told = script.table([dict(zip(keys, row, strict=True)) | {"AP": row[4] / 2} for row in rows])
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in told.splitlines()]
    assert lines[0] == ["set", "contestant", "1 min", "3 min"]
    assert ["cups", "photo", "0.300 / 0.600", "0.400 / 0.800"] in lines
    assert ["cups", "dense", "0.200 / 0.400", ""] in lines
    assert ["mean AP50", "photo", "0.400", ""] in lines
    assert not any(line[:2] == ["mean AP50", "dense"] for line in lines)


def test_the_share_of_pairs_in_the_right_order():
    import words

    score_N = np.array([0.9, 0.5, 0.5, 0.1])
    own, near = np.array([[0, 1], [1, 1]]), np.array([[2, 3], [2, 2]])
    assert words._auc(score_N, own, near).tolist() == [(1 + 1 + 0.5 + 1) / 4, 0.5]


def test_curves_are_higher_where_the_share_is():
    import curves

    low, high = (curves._place(0, [1, 3, 10], (3, share)) for share in (0.2, 0.9))
    assert low[0] == high[0]
    assert low[1] > high[1]
    assert curves.svg({"a & b": {"photo": [(1, 0.5)]}}).count("<circle") == 1


def test_numbers_below_curves_do_not_overlap():
    import curves

    assert curves._ticks([1, 3, 10]) == [1, 3, 10]
    assert curves._ticks([0.93, 5.4, 5.7, 11]) == [1, 2, 5, 10]
