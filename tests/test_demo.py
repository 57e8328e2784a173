"""The main job as `make demo` runs it: `dvc repro` in a checkout, again, and after a change."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from omnidet.inference.detector import OmniDet
from omnidet.registry import versions

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


def test_demo_runs_once_and_then_only_what_changed(tmp_path: Path) -> None:
    checkout = copy_of_checkout(tmp_path / "checkout")
    run(checkout, "dvc", "repro")
    metrics = json.loads((checkout / "metrics/evaluation.json").read_text())
    wanted = (
        "coco/AP coco/AP50 lvis/AP refcocog/AIGT refcocog/AIGT_plain refcocog/AIGT_relational "
        "refcocog/AIGT_unseen"
    )
    assert set(wanted.split()) | {"flickr30k/R@1", "flickr30k/R@5", "flickr30k/R@10"} <= set(
        metrics
    )
    assert all(0 <= value <= 1 for value in metrics.values())
    assert "</html>" in (checkout / "runs/demo/report.html").read_text()
    OmniDet.from_pretrained(checkout / "registry/omnidet-tiny-world/1")
    assert champion(checkout) == 1
    assert gate(checkout)["champion"] is None

    again = run(checkout, "dvc", "repro")
    assert "Data and pipelines are up to date" in again, again

    params = yaml.safe_load((checkout / "params.yaml").read_text())
    params["train"]["steps"] += 1
    (checkout / "params.yaml").write_text(yaml.safe_dump(params))
    changed = json.loads(run(checkout, "dvc", "status", "--json"))
    assert set(changed) == {"train"}, changed  # later stages follow once train has run
    params["train"]["steps"] -= 1
    params["vocabulary"]["min_frequency"] += 1
    (checkout / "params.yaml").write_text(yaml.safe_dump(params))
    assert set(json.loads(run(checkout, "dvc", "status", "--json"))) == {"vocabulary"}

    shown = run(checkout, "dvc", "metrics", "show")
    assert "refcocog/AIGT_unseen" in shown
    assert "coco/calibration_error" in shown
    plots = json.loads(run(checkout, "dvc", "plots", "show", "--json"))
    assert "errors" not in plots, plots["errors"]
    assert len(plots["data"]) == len(yaml.safe_load((checkout / "dvc.yaml").read_text())["plots"])
    assert all(plot[0]["content"]["data"]["values"] for plot in plots["data"].values())

    run(checkout, "git", "add", "--all")
    run(
        checkout,
        "git",
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@localhost",
        "commit",
        "-qm",
        "a run",
    )
    (checkout / "metrics/evaluation.json").unlink()  # a link into DVC's cache
    (checkout / "metrics/evaluation.json").write_text(
        json.dumps(metrics | {"coco/AP": metrics["coco/AP"] + 0.25})
    )
    changed = json.loads(run(checkout, "dvc", "metrics", "diff", "--json"))
    assert changed["metrics/evaluation.json"]["coco/AP"]["diff"] == pytest.approx(0.25)


def test_a_second_version_is_compared_with_the_champion(tmp_path: Path) -> None:
    checkout = copy_of_checkout(tmp_path / "checkout")
    run(checkout, "dvc", "repro")
    first = json.loads((checkout / "metrics/evaluation.json").read_text())

    change(checkout, "train", steps=5)
    change(checkout, "gate", max_drop=1.0)  # anything passes
    assert "passed against omnidet-tiny-world@1" in run(checkout, "dvc", "repro")
    second = json.loads((checkout / "metrics/evaluation.json").read_text())
    compared = {row["metric"]: row for row in gate(checkout)["rows"]}
    assert "coco/AP" in compared
    for metric, row in compared.items():
        assert (row["champion"], row["candidate"]) == (first[metric], second[metric])
    assert champion(checkout) == 2

    change(checkout, "train", steps=6)
    change(checkout, "gate", max_drop=-1.0)  # nothing passes
    said = run(checkout, "dvc", "repro")
    assert "not passed against omnidet-tiny-world@2" in said
    assert gate(checkout)["passed"] is False
    assert (checkout / "registry/omnidet-tiny-world/3").is_dir()
    assert champion(checkout) == 2


def change(checkout: Path, section: str, **fields: float) -> None:
    """Change fields in params.yaml."""
    params = yaml.safe_load((checkout / "params.yaml").read_text())
    params[section] |= fields
    (checkout / "params.yaml").write_text(yaml.safe_dump(params))


def champion(checkout: Path) -> int:
    """Number of the version that the alias points to."""
    return versions.find(str(checkout / "registry"), "omnidet-tiny-world@champion").number


def gate(checkout: Path) -> dict[str, Any]:
    """The decision of the last run."""
    content: dict[str, Any] = json.loads((checkout / "runs/demo/gate.json").read_text())
    return content


def copy_of_checkout(target: Path) -> Path:
    """The files of this repository with parameters for a run of seconds."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if name.startswith(("omnidet/", ".dvc")) or name in ("dvc.yaml", "params.yaml"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    params = yaml.safe_load((target / "params.yaml").read_text())
    params["world"] |= {
        "train_images": 60,
        "val_images": 20,
        "lvis_val_from_train": 2,
        "refcocog_val_images": 12,
    }
    params["world"] |= {
        "refcocog_test_images": 12,
        "flickr30k_train": 20,
        "flickr30k_val": 4,
        "flickr30k_test": 10,
    }
    params["world"] |= {"laion_images": 30, "cc12m_samples": 30, "broken": 1}
    params["shards"]["max_bad_share"] = 0.5
    params["model"]["backbone"] |= {"width": 48, "depth": 2}
    params["model"]["embedding_width"] = 32
    params["train"]["steps"] = 4
    (target / "params.yaml").write_text(yaml.safe_dump(params))
    subprocess.run(["git", "init", "-q"], cwd=target, check=True)
    return target


def run(folder: Path, *command: str) -> str:
    """Output of a command that must succeed: this environment's programs, the checkout's code."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "DVC_NO_ANALYTICS": "1",
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
