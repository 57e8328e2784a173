"""New categories for a registered detector: learned, compared, registered once, whatever else
happens meanwhile."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from omnidet import cli, storage
from omnidet.data import shards, vocabulary_growth
from omnidet.data.vocabulary import Vocabulary
from omnidet.measures import run
from omnidet.registry import versions
from omnidet.steps import train_detector
from omnidet.training import loop
from tests import taught, toy_runs, toys

NAME = "omnidet-tiny-world"
SMALL = [part for setting in taught.TEACHING for part in ("--set", setting)]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A registry with one version, the shards it was trained on, and a folder of annotated
    pictures; nothing is changed."""
    return taught.prepare(tmp_path_factory.mktemp("finetune"))


@pytest.fixture
def registry(place: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(place / "registry", tmp_path / "registry"))


def _arguments(place: Path, registry: Path | str, out: Path, *more: str) -> list[str]:
    return [
        "finetune",
        str(place / "cells"),
        "--registry",
        str(registry),
        "--out",
        str(out),
        *SMALL,
        *more,
    ]


def _start(arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "omnidet.cli", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def test_new_names_are_taught_and_the_old_version_is_one_command_away(
    place, registry, tmp_path, capsys
):
    out = tmp_path / "out"
    assert cli.main(_arguments(place, registry, out, "--from", "champion")) == 0
    said = capsys.readouterr().out
    for line in (
        "Pascal VOC xml: 10 pictures",
        "new words: pulsar, quasar",
        "cells/AP50",
        "coco/AP ",
        f"{NAME}@2 registered",
    ):
        assert line in said, line
    assert "photo-small" not in said  # somebody chose the drawn one
    assert versions.aliases(registry, NAME) == {"champion": 2}
    new = versions.find(registry, f"{NAME}@champion")
    (lesson,) = new.provenance["taught"]
    assert (lesson["name"], lesson["from"]) == ("cells", f"{NAME}@1")
    assert {"cells/AP", "coco/AP", "refcocog/AIGT"} <= set(new.metrics)
    old_words, words = (
        Vocabulary.load(Path(v.location) / "vocabulary") for v in versions.versions(registry, NAME)
    )
    vocabulary_growth.require_extension(old_words, words)
    assert words.num_tokens == old_words.num_tokens + 4
    config = json.loads((Path(new.location) / "config.json").read_text())
    assert {"quasar", "blue pulsar", "star"} <= set(config["names"])
    assert "before" in (out / "report.html").read_text().lower()
    # The same data again: nothing to do, which succeeds.
    assert cli.main(_arguments(place, registry, tmp_path / "again")) == 0
    assert "nothing new" in capsys.readouterr().out
    assert not (tmp_path / "again").exists()
    assert len(versions.versions(registry, NAME)) == 2
    assert cli.main(["models", "rollback", NAME, "--registry", str(registry)]) == 0
    assert versions.aliases(registry, NAME) == {"champion": 1}


def test_a_run_that_dies_before_it_registers_goes_on_where_it_was(
    place, registry, tmp_path, capsys
):
    out = tmp_path / "out"
    process = _start(_arguments(place, registry, out))
    _wait_for(out / "model" / "config.json", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(versions.versions(registry, NAME)) == 1
    (log,) = (out / "model.work").glob("*/metrics.jsonl")
    trained = log.stat().st_mtime_ns, log.read_text()
    assert cli.main(_arguments(place, registry, out)) == 0
    assert log.read_text() == trained[1]
    assert versions.aliases(registry, NAME) == {"champion": 2}
    assert len(versions.versions(registry, NAME)) == 2


def test_a_champion_that_changes_meanwhile_is_not_replaced(place, registry, tmp_path):
    out = tmp_path / "out"
    process = _start(_arguments(place, registry, out))
    _wait_for(out / "model" / "config.json", process)
    toys.write_bundle(tmp_path / "other", seed=3)
    other, _ = versions.register(registry, NAME, tmp_path / "other", {"coco/AP": 0.1}, {})
    versions.promote(registry, NAME, other.number)
    said = process.communicate()[0]
    assert process.returncode == 2, said
    assert "run it again" in said.splitlines()[-1]
    assert versions.aliases(registry, NAME) == {"champion": 2}
    assert len(versions.versions(registry, NAME)) == 2


@pytest.mark.s3
def test_two_runs_at_once_end_with_one_champion(place, s3, tmp_path):
    registry = f"{s3.uri}/registry"
    model = str(versions.find(place / "registry", NAME).location)
    train_detector.register(model, str(place / "metrics.json"), registry, toy_runs.recipe())
    processes = [_start(_arguments(place, registry, tmp_path / f"out{i}")) for i in range(2)]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    champion = versions.find(registry, f"{NAME}@champion")
    assert champion.provenance["taught"][-1]["name"] == "cells"
    assert len(versions.versions(registry, NAME)) in (
        2,
        3,
    )  # the slower one may have registered: it is not the champion
    assert all(
        v.hashes["model.safetensors"] == champion.hashes["model.safetensors"]
        for v in versions.versions(registry, NAME)[1:]
    )
    assert versions.rollback(registry, NAME).number == 1


def test_a_later_state_leaves_the_shards_of_the_older_one(
    place, registry, tmp_path, capsys, monkeypatch
):
    """Where nobody gave a folder; where somebody did, nothing that is replayed is overwritten."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(place / "cells", "cells")
    arguments = ["finetune", "cells", "--registry", str(registry), *SMALL]
    assert cli.main(arguments) == 0
    second = versions.find(registry, f"{NAME}@2")
    annotation = Path("cells/Annotations/3.xml")
    annotation.write_text(annotation.read_text().replace("quasar", "blue pulsar"))
    assert cli.main(arguments) == 2
    assert "--name cells" in capsys.readouterr().err
    assert cli.main([*arguments, "--name", "cells"]) == 0
    older, newer = sorted(str(p) for p in Path("runs/finetune").iterdir() if p.is_dir())
    assert (Path(older).name, Path(newer).name.partition("-")[0]) == ("cells", "cells")
    old = shards.read_index(second.provenance["shards"])
    assert old.dataset_version == second.provenance["dataset_version"]
    assert sum(1 for _ in shards.records(old, "train/cells")) == shards.num_samples(
        old.shards("train/cells")
    )
    capsys.readouterr()
    assert cli.main([*arguments, "--name", "others", "--out", newer]) == 2
    said = capsys.readouterr().err
    assert newer in said
    assert "eval/cells" in said


def test_a_run_that_dies_in_the_folder_of_an_older_state_goes_on(
    place, registry, tmp_path, monkeypatch
):
    """The champion's index names the older state's shards until that of the newer is written."""
    cells, out = Path(shutil.copytree(place / "cells", tmp_path / "cells")), str(tmp_path / "out")
    arguments = ["finetune", str(cells), "--registry", str(registry), "--out", out, *SMALL]
    assert cli.main(arguments) == 0
    annotation = cells / "Annotations/3.xml"
    annotation.write_text(annotation.read_text().replace("quasar", "blue pulsar"))

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as dying:
        dying.setattr(shards, "combine", die)
        with pytest.raises(RuntimeError, match="killed"):
            cli.main([*arguments, "--name", "cells"])
    shards.open_shard.cache_clear()  # as the next process finds them
    assert cli.main([*arguments, "--name", "cells"]) == 0
    assert versions.aliases(registry, NAME) == {"champion": 3}


def test_what_forgets_or_learns_nothing_is_not_registered(place, registry, tmp_path, capsys):
    assert (
        cli.main(_arguments(place, registry, tmp_path / "out", "--set", "retrain.min_gain=0.99"))
        == 3
    )
    said = capsys.readouterr().out
    assert f"not registered, {NAME}@1 stays the champion" in said
    assert f"{NAME}@1, the one model in {registry}, began with drawn shapes" in said
    assert "--from photo-small" in said
    assert "cells/AP" in said
    assert len(versions.versions(registry, NAME)) == 1
    assert versions.aliases(registry, NAME) == {}


def test_another_limit_judges_again_without_a_step_of_training(
    place, registry, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "out"
    refused = _arguments(place, registry, out, "--set", "retrain.min_gain=0.99")
    assert cli.main(refused) == 3
    said = capsys.readouterr().out
    for part in ("may drop: coco", "--keep", str(out / "model"), "--minutes", "replay_share"):
        assert part in said
    steps = []
    seeded = loop._seed_step
    monkeypatch.setattr(loop, "_seed_step", lambda *a: steps.append(a) or seeded(*a))
    measured = []
    monkeypatch.setattr(run, "predict", lambda *a: measured.append(a))
    assert cli.main(_arguments(place, registry, out)) == 0
    assert (steps, measured) == ([], [])
    assert versions.aliases(registry, NAME) == {"champion": 2}


def test_without_a_replay_it_is_a_model_of_its_own(place, registry, tmp_path, capsys):
    assert cli.main(_arguments(place, registry, tmp_path / "out", "--replay", "none")) == 0
    said = capsys.readouterr().out
    assert "cells@1 registered" in said
    assert "--keep" not in said  # which is refused here
    assert versions.aliases(registry, NAME) == {}
    assert len(versions.versions(registry, NAME)) == 1
    own = versions.find(registry, "cells@champion")
    assert own.provenance["taught"][-1]["from"] == f"{NAME}@1"
    assert "cells/AP" in own.metrics
    assert "coco/AP" not in own.metrics
    more = ("--from", "cells", "--name", "b", "--folds", "2", "--fold", "1", "--replay", "none")
    cli.main(_arguments(place, registry, tmp_path / "other", *more))
    assert "of the 5 evaluation pictures" in "".join(capsys.readouterr())


def test_a_folder_in_use_is_named(place, registry, tmp_path, capsys):
    first = _start(_arguments(place, registry, tmp_path / "out"))
    _wait_for(tmp_path / "out" / "dataset", first)
    assert cli.main(_arguments(place, registry, tmp_path / "out")) == 2
    first.kill()
    first.communicate()
    assert "another run works in" in capsys.readouterr().err


def test_wrong_input_leaves_the_champion_alone(place, registry, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    before = sorted(storage.list_files(registry))

    def complaint(*arguments: str) -> str:
        assert (
            cli.main(
                [*arguments, "--registry", str(registry), "--out", str(tmp_path / "out"), *SMALL]
            )
            == 2
        )
        said = capsys.readouterr().err.strip()
        assert "\n" not in said
        return said

    cells = str(place / "cells")
    assert "is not a folder" in complaint("finetune", str(tmp_path / "nowhere"))
    assert "holds no file" in complaint("finetune", str(tmp_path / "empty"))
    assert "unknown field 'retrain.stepz'" in complaint(
        "finetune", str(tmp_path / "nowhere"), "--set", "retrain.stepz=3"
    )
    assert "--minutes or --steps" in complaint("finetune", cells, "--set", "train.steps=9")
    assert "'cocoa'" in complaint("finetune", cells, "--keep", "cocoa")
    assert "--keep coco" in complaint("finetune", cells, "--keep", "coco", "--replay", "none")
    assert "--replay" in complaint("finetune", cells, "--replay", str(tmp_path / "empty"))
    assert "dataset name 'Ä'" in complaint("finetune", cells, "--name", "Ä")
    assert "no model 'none'" in complaint("finetune", cells, "--from", "none@champion")
    assert "'coco' is that of a dataset of the first training" in complaint(
        "finetune", cells, "--name", "coco"
    )
    (tmp_path / "empty" / "a.png").write_bytes(toys.png(20, 20, []))
    assert "no annotations" in complaint("finetune", str(tmp_path / "empty"))
    damaged = registry / NAME / "1" / "vocabulary" / "vocabulary.json"
    damaged.write_text(damaged.read_text().replace('"content_hash": "', '"content_hash": "0'))
    assert "vocabulary.json is not as it was registered" in complaint("finetune", cells)
    assert sorted(storage.list_files(registry)) == before
