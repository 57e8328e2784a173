"""The whole chain through the command line, on a small world: every artifact is there and whole,
and a kill leaves none.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from omnidet import cli
from omnidet.config import override
from omnidet.data import shards
from omnidet.data.sharding import plan_file
from omnidet.inference.detector import OmniDet
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.model import bundle
from omnidet.recipes.coco_folder import coco_folder
from omnidet.recipes.recipe import Recipe
from omnidet.registry import versions
from omnidet.steps import train_detector
from omnidet.training import metrics, runs
from tests import toys
from tests.data.sources.handmade import box, coco_files, coco_image, write_laion

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SETTINGS = [
    "--recipe",
    "tiny_world",
    *(part for field in (*toys.SMALL, "mixing.workers=1") for part in ("--set", field)),
]
METRICS = {
    *(
        "coco/AP",
        "coco/AP50",
        "lvis/AP",
        "refcocog/AIGT",
        "refcocog/AIGT_plain",
        "refcocog/AIGT_relational",
    ),
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
    assert {"run", "dataset_version", "vocabulary_hash", "git_commit", "omnidet_version"} <= set(
        content["provenance"]
    )
    assert "star" in " ".join(content["names"])

    numbers, evaluation = tmp_path / "metrics.json", tmp_path / "evaluation"
    _run(
        "evaluate",
        *SETTINGS,
        "--model",
        model,
        "--shards",
        shard_folder,
        "--metrics",
        numbers,
        "--out",
        evaluation,
    )
    values = json.loads(numbers.read_text())
    assert set(values) >= METRICS
    assert all(isinstance(value, float) and 0 <= value <= 1 for value in values.values())
    predictions = json.loads((evaluation / "eval_coco.json").read_text())
    assert set(predictions[0]) == {"image_id", "category_id", "bbox", "score"}
    written = json.loads((evaluation / "index.json").read_text())
    assert written["training_images_compared"]
    assert set(written["details"]["coco"]["intervals"]) <= {"AP", "AP50"}
    assert not list(tmp_path.glob("evaluation.parts*"))

    report = tmp_path / "report.html"
    _run(
        *("report", *SETTINGS, "--model", model, "--shards", shard_folder),
        *("--evaluation", evaluation, "--out", report),
    )
    assert "omnidet-tiny-world" in report.read_text()

    for new in (True, False):
        _run(
            "register",
            *SETTINGS,
            "--model",
            model,
            "--metrics",
            numbers,
            "--registry",
            tmp_path / "registry",
        )
        said = capsys.readouterr().out
        assert ("was registered already" in said) == (not new)
    (version,) = versions.versions(tmp_path / "registry", "omnidet-tiny-world")
    assert version.metrics == values
    detector = OmniDet.from_pretrained(version.folder())

    picture = next((place / "world" / "coco" / "val2017").iterdir())
    _run(
        "predict",
        picture,
        "--registry",
        tmp_path / "registry",
        "--phrases",
        "red star",
        "--threshold",
        "0",
    )
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
    (work,) = (p for p in (tmp_path / "model.work").iterdir() if p.is_dir())
    assert metrics.read(work / "metrics.jsonl")
    assert list((work / "checkpoints").iterdir())
    _run(*_train(place, tmp_path / "model"))
    OmniDet.from_pretrained(tmp_path / "model")
    assert not list(tmp_path.glob(".model.stage-*"))
    _run(*_train(place, tmp_path / "whole"))
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()


def test_a_change_of_the_recipe_is_another_run_and_one_of_the_evaluation_is_not(place):
    index = train_detector.shards.read_index(str(place / "shards"))
    words = train_detector.vocabulary_module.Vocabulary.load(place / "vocabulary")

    def run(*fields: str) -> str:
        recipe = train_detector.configuration.override(toys.recipe(), *fields)
        return runs.provenance(train_detector.configuration.describe(recipe), index, words)["run"]

    assert run() == run("register.name=other") == run("world.val_images=9")
    worked_through = (
        "mixing.workers=1",
        "train.parallel=fsdp2",
        "train.log_every=3",
        "train.checkpoint_every=7",
    )
    assert run() == run(*worked_through)
    assert (
        len({run(), run("train.seed=1"), run("model.embedding_width=8"), run("mixing.max_names=3")})
        == 4
    )


def test_a_new_run_beside_another_tells_what_is_different(place, tmp_path, capsys):
    out = tmp_path / "model"
    _run(*_train(place, out), "--set", "train.steps=2")
    assert "training starts, to step 2" in capsys.readouterr().out
    _run(*_train(place, out), "--set", "train.steps=2", "--set", "mixing.workers=0")
    assert "training goes on after step 2, to step 2" in capsys.readouterr().out
    _run(*_train(place, out), "--set", "train.steps=3", "--set", "train.seed=5")
    said = capsys.readouterr().out
    assert "training starts, to step 3" in said
    assert "/00000002 differs in train.steps, train.seed" in said


def test_places_that_a_training_may_not_have(place, tmp_path, capsys):
    def complaint(*arguments: str) -> str:
        assert cli.main([*_train(place, tmp_path / "model"), *arguments]) == 2
        return capsys.readouterr().err

    assert "inside it: give a folder beside it" in complaint(
        "--work", str(tmp_path / "model" / "work")
    )
    assert "inside it: give a folder beside it" in complaint(
        "--work", str(place / "shards" / "work")
    )
    assert "losses=[]: there is nothing to learn from" in complaint("--set", "losses=[]")
    assert cli.main([*_train(place, tmp_path / "model"), "--out", "/proc/none/model"]) in (1, 2)
    assert "/proc/none/model cannot be written" in capsys.readouterr().err
    assert not (tmp_path / "model.work").exists()


def test_two_runs_in_one_folder(place, tmp_path, capsys):
    """The second is refused, and the first is none the worse."""
    code = (
        "import sys, time\nfrom omnidet.training.metrics import MetricLog\nreal = MetricLog.write\n"
        "def write(self, row):\n    real(self, row)\n    open(sys.argv[1], 'w').close()\n    time.sleep(1)\n"
        "MetricLog.write = write\nfrom omnidet import cli\nsys.exit(cli.main(sys.argv[2:]))\n"
    )
    mark, out = tmp_path / "trains", tmp_path / "model"
    first = subprocess.Popen([sys.executable, "-c", code, str(mark), *_train(place, out)], cwd=ROOT)
    while not mark.exists() and first.poll() is None:
        time.sleep(0.05)
    assert cli.main(_train(place, out)) == 2
    assert "another process trains in" in capsys.readouterr().err
    assert first.wait(240) == 0
    assert [row["step"] for row in metrics.read(out / "training.jsonl")] == [2, 4, 6, 8, 10]


def test_streams_without_data_are_not_calibrated(place, tmp_path, capsys):
    """A recipe for three streams on the data of two: the most common first dataset has no captions
    of the web.
    """
    recipe = toys.recipe()
    streams = tuple(
        dataclasses.replace(s, sets=("train/none",)) if s.name == "img" else s
        for s in recipe.streams
    )
    recipe = dataclasses.replace(
        recipe, streams=streams, model=dataclasses.replace(recipe.model, calibrated_streams=3)
    )
    inputs = (str(place / "shards"), str(place / "vocabulary"))
    train_detector.train(*inputs, str(tmp_path / "model"), recipe)
    assert (
        f"stream img: left out, for {place / 'shards'} has none of train/none"
        in capsys.readouterr().out
    )
    assert bundle.read_config(tmp_path / "model")["model"]["calibrated_streams"] == 2
    wrong = dataclasses.replace(
        recipe, model=dataclasses.replace(recipe.model, calibrated_streams=2)
    )
    with pytest.raises(
        ValueError,
        match=r"model\.calibrated_streams=2, but there are 3 streams: give their number, or 0",
    ):
        train_detector.train(*inputs, str(tmp_path / "other"), wrong)


def test_two_ranks_evaluate_as_one(place, tmp_path):
    toys.write_bundle(tmp_path / "model")
    arguments = [
        "evaluate",
        *SETTINGS,
        "--model",
        str(tmp_path / "model"),
        "--shards",
        str(place / "shards"),
    ]

    def outputs(name: str) -> list[str]:
        return ["--metrics", str(tmp_path / f"{name}.json"), "--out", str(tmp_path / name)]

    _run(*arguments, *outputs("one"))
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "omnidet.cli",
    ]
    done = subprocess.run(
        [*torchrun, *arguments, *outputs("two")],
        cwd=ROOT, capture_output=True, text=True, timeout=300, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "two.json").read_text() == (tmp_path / "one.json").read_text()
    files = [path.name for path in sorted((tmp_path / "one").iterdir())]
    assert [path.name for path in sorted((tmp_path / "two").iterdir())] == files
    for name in files:
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert not list(tmp_path.glob("*.parts*"))


def test_what_was_trained_on_is_not_evaluated_on(tmp_path, capsys):
    """Shards that were not built by us may hold an evaluation image in a training set."""
    records = [dataclasses.replace(r, image_id=f"coco:{n}") for n, r in enumerate(toys.records())]
    sets = {"train/coco": records[:5], "train/laion": toys.records(), "eval/refcocog": records[3:]}
    folder = tmp_path / "shards"
    written = {name: shards.write_set(own, folder, name, 4) for name, own in sets.items()}
    shards.write_index(folder, written, {}, {"held_out": {}, "quarantined": {}})
    streams = [{"name": "det", "sets": ["train/coco", "train/laion", "train/lvis"]}]
    facts = {
        "dataset_version": shards.read_index(folder).dataset_version,
        "recipe": {"streams": streams},
    }
    benchmark = Benchmark("refcocog", "refcocog", "eval/refcocog")
    recipe = dataclasses.replace(toys.recipe(), evaluation=EvaluationConfig((benchmark,)))
    outputs = (tmp_path / "metrics.json", tmp_path / "out", recipe)
    for name, version in (("same", facts["dataset_version"]), ("other", "none")):
        (tmp_path / name).mkdir()
        provenance = facts | {"dataset_version": version}
        bundle.save(
            tmp_path / name,
            toys.toy_detector(),
            toys.toy_vocabulary(),
            list(toys.NAMES),
            provenance,
        )
    with pytest.raises(
        ValueError, match=r"eval/refcocog: 2 of its images were trained on \(coco:3, coco:4\)"
    ) as caught:
        train_detector.evaluate(tmp_path / "same", folder, *outputs)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "metrics.json").exists()
    train_detector.evaluate(tmp_path / "other", folder, *outputs)
    assert "trained on other shards" in capsys.readouterr().out
    assert not json.loads((tmp_path / "out" / "index.json").read_text())["training_images_compared"]


def _write_split(root: Path, split: str, ids: Sequence[int]) -> None:
    """A split in COCO's layout; `coco_files` writes val2017 alone."""
    coco_files(root, [coco_image(i) for i in ids], [box(i, i, 3) for i in ids])
    if split != "val2017":
        for name in ("annotations/instances_val2017.json", "val2017"):
            (root / name).rename(root / name.replace("val2017", split))


@pytest.fixture
def in_parts(tmp_path) -> Path:
    """A folder with a dataset whose training and evaluation images are all different."""
    _write_split(tmp_path / "data", "train2017", range(11, 17))
    _write_split(tmp_path / "data", "val2017", range(1, 3))
    return tmp_path


def _built(folder: Path, recipe: Recipe | None = None, **more: dict[str, str]) -> shards.Index:
    train_detector.build_shards_part(
        folder / "data", str(folder / "out"), recipe or coco_folder(), (1, 1), **more
    )
    return train_detector.merge_shards(str(folder / "out"))


def test_a_plan_serves_one_build(in_parts):
    """An image that is evaluated on since the last build stands in no training set of the next."""
    assert shards.num_samples(_built(in_parts).shards("train/coco")) == 6
    assert (
        train_detector.merge_shards(str(in_parts / "out")).report["held_out"] == {}
    )  # a pipeline may repeat a step
    _write_split(in_parts / "data", "val2017", [1, 2, 11, 12])
    index = _built(in_parts)
    assert shards.num_samples(index.shards("train/coco")) == 4
    assert index.report["held_out"] == {"train/coco": {"coco val2017": 2}}
    write_laion(in_parts / "elsewhere")
    assert "train/laion" in _built(in_parts, paths={"laion": str(in_parts / "elsewhere")}).sets


def test_parts_with_other_settings_than_the_plan_are_refused(in_parts):
    out, plan = str(in_parts / "out"), in_parts / "out" / plan_file.NAME
    train_detector.build_shards_part(in_parts / "data", out, coco_folder(), (1, 2))
    write_laion(in_parts / "elsewhere")
    paths = {"laion": str(in_parts / "elsewhere")}
    with pytest.raises(
        ValueError,
        match=rf"{plan} was made with --path={{}}, not .*elsewhere.*: give every part the same",
    ):
        train_detector.build_shards_part(in_parts / "data", out, coco_folder(), (2, 2), paths)
    with pytest.raises(ValueError, match=r"with --data=.*data, not .*elsewhere: "):
        train_detector.build_shards_part(in_parts / "elsewhere", out, coco_folder(), (2, 2))
    smaller = override(coco_folder(), "shards.samples_per_shard=2")
    for call in (
        lambda: train_detector.build_shards_part(in_parts / "data", out, smaller, (2, 2)),
        lambda: train_detector.build_shard_set(
            in_parts / "data", out, "train/coco", smaller, part=(2, 2)
        ),
    ):
        with pytest.raises(ValueError, match=r"with shards.samples_per_shard=1000, not 2: "):
            call()
    free = override(coco_folder(), "shards.workers=1", "shards.max_bad_share=0.5", "shards.parts=2")
    train_detector.build_shards_part(
        f"{in_parts}/data/", out, free, (2, 2)
    )  # these decide over no byte
    assert shards.num_samples(train_detector.merge_shards(out).shards("train/coco")) == 6


def test_a_plan_of_other_data_than_there_is_now_is_refused(in_parts):
    out = str(in_parts / "out")
    train_detector.build_shards_part(in_parts / "data", out, coco_folder(), (1, 2))
    write_laion(in_parts / "data/laion")
    with pytest.raises(
        ValueError,
        match=r"plan\.json .*data holds now",
    ):
        train_detector.build_shards_part(in_parts / "data", out, coco_folder(), (2, 2))
    (in_parts / "data/laion").rename(in_parts / "away")
    _write_split(in_parts / "data", "val2017", [1, 2, 11])
    with pytest.raises(ValueError, match=r"plan\.json .*data holds now"):
        train_detector.build_shards_part(in_parts / "data", out, coco_folder(), (2, 2))
