"""Training as a step: repeated, killed, continued, two at once."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from omnidet import cli, config, storage
from omnidet.data import shards
from omnidet.data.vocabulary import Vocabulary
from omnidet.inference.detector import OmniDet
from omnidet.model import bundle
from omnidet.steps import train_detector
from omnidet.training import metrics, runs
from omnidet.training.stopwatch import Stopwatch
from tests import toy_runs
from tests.steps.train_detector.conftest import run, train_command

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def test_the_same_run_twice_gives_the_same_weights(place, tmp_path):
    for name in ("one", "two"):
        run(*train_command(place, tmp_path / name))
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_changed_code_trains_anew(place, tmp_path):
    """`dvc repro` runs this stage again when a loss has changed, and wants its work."""
    code = shutil.copytree(ROOT / "omnidet", tmp_path / "code/omnidet")
    loss = code / "losses/boxes_l1.py"
    text = loss.read_text()
    changed = text.replace("LossTerm(total_S", "LossTerm(9 * total_S")
    assert changed != text
    weights = []
    for content in (text, changed, text):
        loss.write_text(content)
        subprocess.run(
            [sys.executable, "-m", "omnidet.cli", *train_command(place, tmp_path / "model")],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(code.parent)}, check=True,
        )  # fmt: skip
        weights.append((tmp_path / "model/model.safetensors").read_bytes())
    assert weights[0] == weights[2] != weights[1]
    finished = [p for p in (tmp_path / "model.work").iterdir() if p.is_dir()]
    assert len(finished) == 2


KILLS = {
    "while training": (
        "from omnidet.training import metrics as m\n"
        "m.MetricLog.write = kill_third(m.MetricLog.write)"
    ),
    "while it writes the model": (
        "from omnidet.data.vocabulary import Vocabulary as v\nv.save = kill"
    ),
}


@pytest.mark.parametrize("moment", KILLS)
def test_a_killed_training_leaves_no_model_and_continues(place, tmp_path, moment):
    code = (
        "import os, signal, sys\n"
        "def kill(*a): os.kill(os.getpid(), signal.SIGKILL)\n"
        "def kill_third(real):\n"
        "    seen = []\n"
        "    def act(self, row):\n"
        "        seen.append(row)\n"
        "        return kill() if len(seen) == 3 else real(self, row)\n"
        "    return act\n"
        f"{KILLS[moment]}\nfrom omnidet import cli\nsys.exit(cli.main(sys.argv[1:]))\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, *train_command(place, tmp_path / "model")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "model").exists()
    (work,) = (p for p in (tmp_path / "model.work").iterdir() if p.is_dir())
    assert metrics.read(work / "metrics.jsonl")
    assert list((work / "checkpoints").iterdir())
    run(*train_command(place, tmp_path / "model"))
    OmniDet.from_pretrained(tmp_path / "model")
    assert not list(tmp_path.glob(".model.stage-*"))
    run(*train_command(place, tmp_path / "whole"))
    continued, whole = (
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("model", "whole")
    )
    assert continued == whole


def test_what_a_training_has_reached_is_taken_from_the_newest_checkpoint_that_is_whole(
    place, tmp_path, capsys
):
    run(*train_command(place, tmp_path / "model"))
    ((newest, before),) = [
        sorted((work / "checkpoints").iterdir(), reverse=True)[:2]
        for work in (tmp_path / "model.work").iterdir()
        if work.is_dir()
    ]
    (newest / "average.safetensors").write_bytes(b"half")
    inputs = place / "shards", place / "vocabulary"
    recipe, work = toy_runs.recipe(), tmp_path / "model.work"
    train_detector.take_best(*inputs, tmp_path / "best", recipe, work)
    origin = bundle.read_config(tmp_path / "best")["provenance"]
    assert origin["stopped_after_step"] == int(before.name)
    assert str(newest) in capsys.readouterr().err


def test_a_run_is_what_the_weights_depend_on(place):
    index, words = shards.read_index(place / "shards"), Vocabulary.load(place / "vocabulary")

    def identity(*fields: str) -> str:
        recipe = config.override(toy_runs.recipe(), *fields)
        return str(runs.provenance(config.describe(recipe), index, words)["run"])

    own = identity()
    operation = ("mixing.workers=1", "train.parallel=fsdp2", "train.log_every=3")
    assert own == identity("register.name=other") == identity("world.val_images=9")
    assert own == identity(*operation, "train.checkpoint_every=7")
    changes = ("train.seed=1", "model.embedding_width=8", "mixing.max_names=3")
    assert len({own, *(identity(change) for change in changes)}) == 4


def test_a_new_run_says_how_it_differs_from_the_last_one(place, tmp_path, capsys):
    def said(*fields: str) -> str:
        settings = [word for field in fields for word in ("--set", field)]
        run(*train_command(place, tmp_path / "model"), *settings)
        return capsys.readouterr().out

    assert "training starts, to step 2" in said("train.steps=2")
    assert "after step 2, to step 2" in said("train.steps=2", "mixing.workers=0")
    other = said("train.steps=3", "train.seed=5")
    assert "training starts, to step 3" in other
    assert "/00000002 differs in train.steps, train.seed" in other


def test_folders_that_a_training_may_not_write_to(place, tmp_path, capsys):
    def complaint(*arguments: str) -> str:
        code = cli.main([*train_command(place, tmp_path / "model"), *arguments])
        assert code in (1, 2)
        return capsys.readouterr().err

    for inside in (tmp_path / "model" / "work", place / "shards" / "work"):
        assert str(inside) in complaint("--work", str(inside))
    assert "losses=[]" in complaint("--set", "losses=[]")
    assert "/proc/none/model" in complaint("--out", "/proc/none/model")
    assert not (tmp_path / "model.work").exists()


@pytest.mark.parametrize("held", ["version.json", "main.py"], ids=["a version", "a project"])
def test_what_has_a_config_too_is_not_trained_over(place, tmp_path, capsys, held):
    out = tmp_path / "registry/model/1"
    for name in ("config.json", held):
        storage.write_text(out / name, "{}")
    assert cli.main(train_command(place, out)) == 2
    assert held in capsys.readouterr().err
    assert not Path(f"{out}.work").exists()


def test_two_runs_in_one_folder(place, tmp_path, capsys):
    """The second is refused, and the first is not disturbed."""
    code = (
        "import os, sys, time\n"
        "from omnidet.training.metrics import MetricLog\n"
        "real = MetricLog.write\n"
        "def write(self, row):\n"
        "    real(self, row)\n"
        "    open(sys.argv[1], 'w').close()\n"
        "    while not os.path.exists(sys.argv[1] + '.on'):\n"
        "        time.sleep(0.05)\n"
        "MetricLog.write = write\n"
        "from omnidet import cli\n"
        "sys.exit(cli.main(sys.argv[2:]))\n"
    )
    mark, out = tmp_path / "trains", tmp_path / "model"
    call = [sys.executable, "-c", code, str(mark), *train_command(place, out)]
    first = subprocess.Popen(call, cwd=ROOT)
    while not mark.exists() and first.poll() is None:
        time.sleep(0.05)
    assert cli.main(train_command(place, out)) == 2
    assert "another process" in capsys.readouterr().err
    mark.with_name("trains.on").touch()
    assert first.wait(240) == 0
    assert [row["step"] for row in metrics.read(out / "training.jsonl")] == [2, 4, 6, 8, 10]


def test_streams_without_data_are_not_calibrated(place, tmp_path, capsys):
    """A recipe for three streams on the data of two: most first datasets have no web captions."""
    recipe = toy_runs.recipe()
    streams = tuple(
        dataclasses.replace(s, sets=("train/none",)) if s.name == "img" else s
        for s in recipe.streams
    )
    model = dataclasses.replace(recipe.model, calibrated_streams=3)
    recipe = dataclasses.replace(recipe, streams=streams, model=model)
    inputs = (str(place / "shards"), str(place / "vocabulary"))
    train_detector.train(*inputs, str(tmp_path / "model"), recipe)
    assert "stream img: left out" in capsys.readouterr().out
    assert bundle.read_config(tmp_path / "model")["model"]["calibrated_streams"] == 2
    model = dataclasses.replace(recipe.model, calibrated_streams=2)
    wrong = dataclasses.replace(recipe, model=model)
    with pytest.raises(ValueError, match=r"model\.calibrated_streams=2.* 3 streams"):
        train_detector.train(*inputs, str(tmp_path / "other"), wrong)


def test_relations_that_the_words_do_not_allow_are_told(place, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Vocabulary, "knows", lambda _, text: "right" not in text)
    run(*train_command(place, tmp_path / "model"), "--set", "train.steps=1")
    (line,) = (x for x in capsys.readouterr().out.splitlines() if "transform relations" in x)
    assert "'right of'" in line
    assert "left" not in line


def test_the_seconds_of_all_processes_are_told(place, tmp_path, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Stopwatch, "facts", lambda _: {"train_seconds": 5000.0})
        patch.setattr(bundle, "save", interrupted)  # after the last checkpoint
        assert cli.main(train_command(place, tmp_path / "model")) == 130
    run(*train_command(place, tmp_path / "model"))
    facts = bundle.read_config(tmp_path / "model")["provenance"]
    assert 5000 <= facts["train_seconds"] < 5000 + 600
