"""`omnidet finetune` with no detector to go on from: a folder in, a registered detector out; then a
second folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from omnidet import cli
from omnidet.recipes import by_name
from omnidet.recipes.photographs import of_folder
from omnidet.registry import versions
from omnidet.steps import photographs
from omnidet.training import metrics
from tests import toys

SMALL = (
    *("--set", "matching.early_regions=0"),
    *("--set", "model.backbone=conv_stem_vit", "--set", "model.backbone.width=32"),
    *("--set", "model.backbone.depth=1", "--set", "model.backbone.num_heads=2"),
    *("--set", "model.image_size=64", "--set", "model.embedding_width=32"),
    *("--set", "mixing.workers=0", "--set", "streams.det.images_per_step=4"),
)
ANY = ("--set", "retrain.min_ap50=0", "--set", "retrain.min_boxes=1")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders as YOLO, of 12 pictures each, with names of their own."""
    root = tmp_path_factory.mktemp("brought")
    for name, colour in (("cups", "purple"), ("keys", "orange")):
        for split, count in (("train", 8), ("val", 4)):
            for part in ("images", "labels"):
                (root / name / part / split).mkdir(parents=True)
            for i in range(count):
                at = i if split == "train" else i + 20
                picture = toys.png(100, 80, [(at, 5, at + 40, 60)], colour)
                (root / name / "images" / split / f"{i}.png").write_bytes(picture)
                row = np.array([(at + 20) / 100, 32.5 / 80, 0.4, 55 / 80])
                text = " ".join(f"{v:.6f}" for v in row)
                (root / name / "labels" / split / f"{i}.txt").write_text(f"0 {text}\n")
        content = f"train: images/train\nval: images/val\nnames: [blue {name}]\n"
        (root / name / "data.yaml").write_text(content)
    return root


def _finetune(folder, place, *more: str) -> int:
    given = ["finetune", str(folder), "--registry", str(place / "registry")]
    return cli.main([*given, "--out", str(place / f"run-{folder.name}"), *more])


def _look(folder, place, capsys, *more: str) -> None:
    """Read it, and train nothing: the page shows its pictures and no others."""
    known = sorted(place.glob("registry/*/*/model.safetensors"))
    had_registry = (place / "registry").exists()
    capsys.readouterr()
    assert _finetune(folder, place, *more, "--dry-run") == 0
    said = capsys.readouterr().out
    page = place / f"run-{folder.name}" / "pictures.html"
    assert "12 pictures" in said
    assert str(page) in said
    shown = page.read_text(encoding="utf-8")
    assert shown.count("<figure") == 12
    assert f"blue {folder.name}" in shown
    assert f"<h1>{folder}</h1>" in shown
    assert "images/train/3.png, 100 × 80" in shown  # as people call it
    assert not (page.parent / "model").exists()
    assert (place / "registry").exists() == had_registry
    assert sorted(place.glob("registry/*/*/model.safetensors")) == known


def test_a_new_detector_and_then_a_second_folder(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    steps = ("--steps", "3")
    _look(folders / "cups", tmp_path, capsys, *SMALL, *ANY)
    assert _finetune(folders / "cups", tmp_path, *SMALL, *ANY, *steps) == 0
    said = capsys.readouterr().out
    made = json.loads((tmp_path / "registry/cups/1/config.json").read_text())
    assert made["names"] == ["blue cups"]  # in every picture, so that none says it is absent
    for part in (
        *("conv_stem_vit", "12 pictures", "cups/AP50", "cups@1 registered"),
        "scores are not fitted, 8 training pictures with 8 names",
    ):
        assert part in said
    assert f"--model cups --registry {tmp_path / 'registry'}" in said
    (version,) = versions.versions(tmp_path / "registry", "cups")
    assert versions.aliases(tmp_path / "registry", "cups") == {"champion": 1}
    assert version.provenance["taught"][0]["name"] == "cups"
    assert (tmp_path / "run-cups" / "report.html").is_file()
    # The next folder goes on from it, by the recipe that it carries.
    lax = ("--set", "retrain.min_gain=-1", "--set", "retrain.max_drop=1")
    taught = ("--set", "retrain.steps=2", "--set", "retrain.new_images=4")
    _look(folders / "keys", tmp_path, capsys, *ANY)
    assert _finetune(folders / "keys", tmp_path, *ANY, *lax, *taught) == 0
    second = versions.find(tmp_path / "registry", "cups@champion")
    assert second.number == 2
    assert {"cups/AP", "keys/AP"} <= second.metrics.keys()
    assert [t["name"] for t in second.provenance["taught"]] == ["cups", "keys"]


def test_steps_by_minutes_are_measured_once(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    more = (*SMALL, *ANY, "--minutes", "0.001", "--as", "my-cups")
    assert _finetune(folders / "cups", tmp_path, *more) == 0
    first = capsys.readouterr().out
    budget = json.loads((tmp_path / "run-cups" / "budget.json").read_text())
    assert f"{budget['steps']} steps" in first
    assert _finetune(folders / "cups", tmp_path, *more, "--from", "photo-small") == 0
    assert "was registered already" in capsys.readouterr().out
    assert json.loads((tmp_path / "run-cups" / "budget.json").read_text()) == budget


def test_what_learned_nothing_is_not_registered(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    limits = ("--set", "retrain.min_boxes=4", "--set", "retrain.min_ap50=0.99")
    still = ("--set", "train.optimizer.learning_rate=1e-9")  # a step at full rate may be enough
    code = _finetune(folders / "cups", tmp_path, *SMALL, *limits, *still, "--steps", "1")
    said = capsys.readouterr().out
    assert code == 3
    assert "cups/AP50" in said
    assert "--minutes" in said
    assert not (tmp_path / "registry").exists() or versions.models(tmp_path / "registry") == []


def test_another_folder_of_the_same_name_does_not_replace_a_model(
    folders, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    given = ("--from", "photo-small", *SMALL, *ANY, "--steps", "1")
    assert _finetune(folders / "cups", tmp_path, *given) == 0
    other = shutil.copytree(folders / "keys", tmp_path / "other" / "cups")
    assert _finetune(other, tmp_path, *given) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    for part in (str(other), "cups@1", "blue cups", "--as cups"):
        assert part in line
    more = shutil.copytree(folders / "cups", tmp_path / "more" / "cups")
    (more / "data.yaml").write_text(
        "train: images/train\nval: images/val\nnames: [blue cups, handle]\n"
    )
    label = more / "labels" / "train" / "0.txt"
    label.write_text(label.read_text().replace("0 ", "1 ", 1))
    assert _finetune(more, tmp_path, *given) == 0
    said = capsys.readouterr().out
    for part in ("cups@1 stays the champion", "eval/cups", "--model cups@2 "):
        assert part in said
    assert _finetune(other, tmp_path, *given, "--as", "cups") == 0
    assert "1 name that this one does not, blue cups" in capsys.readouterr().out
    assert len(versions.versions(tmp_path / "registry", "cups")) == 3
    assert versions.aliases(tmp_path / "registry", "cups") == {"champion": 1}


def test_ctrl_c_keeps_what_was_reached(folders, tmp_path):
    """Then --finish registers it, and the same command goes on."""
    given = [
        *("finetune", str(folders / "cups"), "--registry", "registry", "--out", "run"),
        *("--from", "photo-small"),
        *(*SMALL, *ANY, "--steps", "400", "--set", "train.log_every=1"),
    ]
    command = [sys.executable, "-m", "omnidet.cli", *given]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    while not list(tmp_path.glob("run/model.work/*/best/*/index.json")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[0]
    assert process.returncode == 130, said
    for part in ("the best detector so far", "--finish", "the same command"):
        assert part in said
    (work,) = (p for p in (tmp_path / "run/model.work").iterdir() if p.is_dir())
    reached = metrics.read(work / "metrics.jsonl")[-1]["step"]
    assert 0 < reached < 400
    ended = subprocess.run(
        [*command, "--finish"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    own = versions.find(tmp_path / "registry", "cups@champion")
    assert own.provenance["best_step"] <= own.provenance["stopped_after_step"] == reached
    assert metrics.read(work / "metrics.jsonl")[-1]["step"] == reached
    went_on = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert went_on.returncode == 0, went_on.stderr
    assert f"goes on after step {reached}" in went_on.stdout
    assert metrics.read(work / "metrics.jsonl")[-1]["step"] == 400


def test_nothing_to_finish(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = (*SMALL, *ANY, "--steps", "3", "--finish")
    assert _finetune(folders / "cups", tmp_path, *given) == 2
    assert "--finish" in capsys.readouterr().err.splitlines()[-1]


def test_a_worse_detector_does_not_become_the_champion(tmp_path):
    registry, model, recipe = tmp_path / "registry", tmp_path / "model", by_name("photographs")
    recipe = of_folder(recipe, "cups")
    said = []
    for ap, seed in ((0.5, 1), (0.4, 2), (0.6, 3)):
        shutil.rmtree(model, ignore_errors=True)
        toys.write_bundle(model, seed)
        (tmp_path / "metrics.json").write_text(json.dumps({"cups/AP": ap}))
        said.append(photographs.register(str(model), str(tmp_path), str(registry), recipe))
    assert "cups@1 stays the champion" in said[1]
    assert versions.aliases(registry, "cups") == {"champion": 3}


def test_too_few_boxes_to_judge_by_are_said_before_the_training(
    folders, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert _finetune(folders / "cups", tmp_path, *SMALL, "--steps", "1") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    for part in ("4 boxes", "--val-share", "retrain.min_boxes=4"):
        assert part in line
    assert not (tmp_path / "run-cups" / "model.work").exists()


@pytest.mark.parametrize(
    ("more", "value"),
    [
        (("--minutes", "0"), "--minutes 0"),
        (("--minutes", "nan"), "--minutes nan"),
        (("--set", "model.backbone=nothing"), "nothing"),
        (("--name", "Not A Name"), "Not A Name"),
        (("--set", "train.steps=450"), "--steps"),
        (("--keep", "coco"), "--keep coco"),
        (("--from", "photo_smal"), "--from photo-small"),
        (("--as", "../x"), "../x"),
        (("--split-file", "nowhere.txt"), "--split-file nowhere.txt"),
        (("--names", "nowhere.yaml"), "--names nowhere.yaml"),
        (("--registry", "/dev/null"), "--registry /dev/null"),
    ],
)
def test_wrong_input(folders, tmp_path, monkeypatch, capsys, more, value):
    monkeypatch.chdir(tmp_path)
    assert _finetune(folders / "cups", tmp_path, *SMALL, *more) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert value in line


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("--set", "model.backbone.weights=pip:unheard-of"), "pip:unheard-of"),
        (("--set", "model.backbone.weights=nowhere.pth"), "nowhere.pth"),
        (
            ("--set", "model.backbone.name=resnet1", "--set", "model.backbone.weights=random"),
            "resnet1",
        ),
        (("--replay", "some/shards"), "--replay some/shards"),
    ],
)
def test_what_cannot_begin_is_said_before_the_pictures_are_read(
    folders, tmp_path, monkeypatch, capsys, given, named
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "omnidet.steps.retrain.data_version", lambda *_: pytest.fail("the pictures were read")
    )
    assert _finetune(folders / "cups", tmp_path, "--from", "photo-small", *given) == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--name", "--as"])
def test_a_name_that_is_none_leaves_no_file(folders, tmp_path, monkeypatch, capsys, flag):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert cli.main(["finetune", str(folders / "cups"), flag, "../../../x"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "../../../x" in line
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "a", inside]


@pytest.mark.parametrize("folder", ["nope", "empty", "file"])
def test_what_is_no_folder_of_pictures_is_refused_before_a_word(
    tmp_path, monkeypatch, capsys, folder
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert cli.main(["finetune", folder]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert f"finetune: {folder} " in line


def test_a_folder_that_is_refused_leaves_nothing(folders, tmp_path, monkeypatch, capsys):
    brought, place = shutil.copytree(folders / "cups", tmp_path / "cups"), tmp_path / "place"
    place.mkdir()
    for label in brought.rglob("*.txt"):
        label.write_text("1" + label.read_text()[1:])  # counted from another number than the names
    monkeypatch.chdir(place)
    assert cli.main(["finetune", str(brought), *SMALL, *ANY]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "count from 1" in said.err
    assert list(place.iterdir()) == []
    (place / "registry").mkdir()  # what was there stays
    assert cli.main(["finetune", str(brought), *SMALL, *ANY]) == 2
    assert [path.name for path in place.iterdir()] == ["registry"]
