"""Steps that read and write JSON or make the data, run as in a pod: no torch, and little memory.

Their images have none of `ABSENT`. Here it is installed, but their processes cannot import it.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from components.run.train_detector import BETWEEN
from omnidet import storage
from tests import taught
from tests.components.steps import SETTINGS, retraining, run_folder

pytestmark = pytest.mark.slow

ABSENT = ("torch", "torchvision", "timm", "transformers", "scipy", "jinja2", "tensorboardX")
MOST_MEGABYTES = 150
REPORT = """
import atexit, sys
sys.modules.update(dict.fromkeys({absent}))
@atexit.register
def report():
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(peak.split()[1], file=open({path!r}, "w"))
"""


@dataclass(frozen=True)
class Ran:
    """What a step returned, and what it took."""

    values: dict[str, Any]
    megabytes: float


def run(step: str, folder: Path, **inputs: Any) -> Ran:
    """Run a step as KFP's start command does: the text of its function, in a process of its own."""
    component = getattr(importlib.import_module(f"components.{step}"), step)
    spec = json_format.MessageToDict(component.pipeline_spec)
    (executor,) = spec["deploymentSpec"]["executors"].values()
    place = folder / step
    place.mkdir(parents=True)
    source, report = place / "step.py", str(place / "report")
    source.write_text(
        REPORT.format(absent=ABSENT, path=report) + executor["container"]["command"][-1]
    )
    outputs: dict[str, Any] = {"artifacts": {}, "parameters": {}}
    for name, output in (component.component_spec.outputs or {}).items():
        kind, _, version = str(output.type).partition("@")
        if version:
            artifact = {"name": name, "type": {"schemaTitle": kind}, "uri": str(place / name)}
            outputs["artifacts"][name] = {"artifacts": [artifact]}
        else:
            outputs["parameters"][name] = {"outputFile": str(place / name)}
    outputs["outputFile"] = str(place / "output.json")
    given = json.dumps({"inputs": {"parameterValues": inputs}, "outputs": outputs})
    call = [sys.executable, "-m", "kfp.dsl.executor_main", "--component_module_path", str(source)]
    ran = subprocess.run(
        [*call, "--executor_input", given, "--function_to_execute", step],
        env={**os.environ, "_KFP_RUNTIME": "true"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    written = place / "output.json"
    values = json.loads(written.read_text()).get("parameterValues", {}) if written.exists() else {}
    return Ran(values, int(Path(report).read_text()) / 1024)


def require_light(ran: Ran) -> Ran:
    """Fail for a step that takes the memory of a library that it does not need."""
    assert ran.megabytes <= MOST_MEGABYTES
    return ran


CONFIGURED = {
    "recipe": "tiny_world",
    "settings": SETTINGS,
    "backbone": "",
    "backbone_weights": "",
    "train_steps": 0,
    "data": "",
    "data_version": "",
    "run_id": "run",
    "download": [],
}
SIZE = {
    "num_nodes": 1, "gpus_per_node": 1, "cpus_per_node": "2", "memory_per_node": "16Gi",
    "node_selector": {}, "tolerations": [],
}  # fmt: skip


NOTICED = {
    "backbone": "", "backbone_weights": "", "train_minutes": 10, "train_steps": 0,
    "retry_refused": False, "num_nodes": 1, "gpus_per_node": 1,
}  # fmt: skip


def test_from_the_settings_to_the_plan_and_from_the_shards_to_the_vocabulary(built, tmp_path):
    workspace, registry = str(tmp_path / "workspace"), str(tmp_path / "registry")
    places = {"workspace": workspace, "registry": registry}
    made = run("configure", tmp_path, **CONFIGURED, **SIZE, **places)
    require_light(made)
    assert made.values["run_folder"] == f"{workspace}/runs/run"
    nothing = {"data": "", "data_version": "", "names": [], "recipe": "tiny_world", "settings": []}
    assert require_light(run("download", tmp_path, **nothing)).values == {"Output": ""}
    of_data = {
        "data_folder": str(tmp_path / "data"), "recipe": "tiny_world",
        "settings": made.values["data_settings"],
    }  # fmt: skip
    drawn = require_light(run("draw_world", tmp_path, data=built.data, **of_data))
    assert drawn.values["Output"] == built.data
    planned = require_light(run("plan_shards", tmp_path, data=built.data, **of_data))
    assert len(planned.values["Output"]) == len(built.groups)
    merged = run("merge_shards", tmp_path, data_folder=built.folder, set_names=built.names)
    assert require_light(merged).values == {"Output": built.shards}
    words = {
        "shards": built.shards, "data_folder": str(tmp_path), "recipe": "tiny_world",
        "settings": made.values["vocabulary_settings"],
    }  # fmt: skip
    require_light(run("build_vocabulary", tmp_path, **words))


def test_the_gate_and_what_follows(tmp_path):
    folder, registry = run_folder(tmp_path), str(tmp_path / "registry")
    of_run = {"run_folder": folder, "recipe": "tiny_world", "settings": []}
    judged = {"metrics": f"{folder}/metrics.json", "registry": registry, **of_run}
    index = Path(folder, "evaluation", storage.INDEX_NAME)
    content = json.loads(index.read_text())
    content["details"] = {"coco": {"intervals": {"AP": [0.4, 0.6]}}}  # the gate looks at it
    index.write_text(json.dumps(content))
    assert "Output" in require_light(run("gate", tmp_path, **judged)).values
    require_light(run("show_decision", tmp_path, run_folder=folder))
    decision = {"champion": None, "passed": True, "reasons": []}
    Path(folder, "gate.json").write_text(json.dumps(decision))
    named = {"model": f"{folder}/model", "run_name": "first", **judged}
    registered = require_light(run("register", tmp_path, **named))
    assert registered.values == {"Output": "omnidet-tiny-world@1"}


def test_the_gate_of_a_retraining_and_what_follows(tmp_path):
    made = retraining(tmp_path)
    of_run = {
        "run_folder": made.folder, "registry": made.registry, "recipe": "tiny_world",
        "settings": ["retrain.min_gain=0.1"],
    }  # fmt: skip
    assert require_light(run("gate_retrained", tmp_path, **of_run)).values == {"Output": True}
    registered = require_light(run("register_retrained", tmp_path, **of_run))
    assert registered.values == {"Output": "toy@2"}


def test_shards(built, tmp_path):
    """As the steps in this process wrote them, where WebDataset's package found torch."""
    of_data = {"data": built.data, "data_folder": str(tmp_path / "data"), "recipe": "tiny_world"}
    planned = run("plan_shards", tmp_path, **of_data, settings=SETTINGS).values["Output"]
    names = require_light(run("build_shard_sets", tmp_path, group=planned[0])).values["Output"]
    assert names == built.names[0]
    written, known = (
        {
            path.relative_to(folder): path.read_bytes()
            for name in names.split(BETWEEN)
            for path in Path(folder, "shards", name).glob("*.tar")
        }
        for folder in (tmp_path / "data", built.folder)
    )
    assert written == known != {}


def test_new_data_for_a_champion(tmp_path):
    made = retraining(tmp_path)
    taught.draw_cells(Path(made.data))
    workspace = tmp_path / "workspace"
    of_run: dict[str, Any] = {
        "workspace": str(workspace),
        "run_id": "run",
        "registry": made.registry,
    }
    of_run |= {"data": made.data, "recipe": "tiny_world", "settings": ["retrain.replay=none"]}
    noticed = {"dataset": "cells", "champion": "champion", **NOTICED}
    answer = run("notice_new_data", tmp_path, **noticed, **of_run)
    assert require_light(answer).values == {"Output": True}
    gathered = require_light(run("gather_new_data", tmp_path, **SIZE, **of_run))
    folder = workspace / "runs" / "run"
    assert gathered.values["run_folder"] == str(folder)
    assert (gathered.values["gpus"], gathered.values["train_gpus"]) == ("1", "1")
    assert list(folder.glob("new/train/cells/*.tar"))
    assert (folder / "vocabulary" / "vocabulary.json").is_file()


def test_new_data_for_a_new_detector(tmp_path):
    """Where the registry holds none: the backbone is chosen, but not loaded."""
    data, workspace = tmp_path / "cells", tmp_path / "workspace"
    taught.draw_cells(data)
    of_run = {
        "workspace": str(workspace), "run_id": "run", "registry": str(tmp_path / "registry"),
        "data": str(data), "recipe": "", "settings": [],
    }  # fmt: skip
    noticed = {"dataset": "cells", "champion": "champion", **NOTICED}
    answer = run("notice_new_data", tmp_path, **noticed, **of_run)
    assert require_light(answer).values == {"Output": True}
    require_light(run("gather_new_data", tmp_path, **SIZE, **of_run))
    folder = workspace / "runs" / "run"
    assert list(folder.glob("shards/train/cells/*.tar"))
    assert (folder / "vocabulary" / "vocabulary.json").is_file()
