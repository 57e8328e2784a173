"""What a command or a step loads: those that read and write JSON need neither torch nor seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from omnidet.registry import versions
from tests import evaluations, toys

HEAVY = ("torch", "torchvision", "timm", "transformers", "scipy", "pyarrow", "dvc", "kfp")
LIGHT = (
    "omnidet",
    "omnidet.cli",
    "omnidet.recipes",
    "omnidet.registry.gate",
    "omnidet.registry.versions",
    "omnidet.data.sharding.build",
    "omnidet.data.vocabulary",
    "omnidet.onnx",
    "omnidet.steps.train_detector",
    "omnidet.steps.retrain",
    "components.run.train_detector",
    "components.run.retrain",
)


COMMANDS = {
    "--help": 0,
    "--version": 0,
    "predict --help": 0,
    "models --registry {p}/registry": 0,
    "models show toy --registry {p}/registry": 0,
    "inspect {p}/shards": 0,
    "register --recipe tiny_world --set register.name=other --model {p}/model "
    "--metrics {p}/metrics.json --registry {p}/registry": 0,
    "summary --metrics {p}/metrics.json --registry {p}/registry --report r.html": 0,
    "gate --recipe tiny_world --set register.name=toy --metrics {p}/metrics.json "
    "--registry {p}/registry --out {p}/decision.json": 0,
    "compare {p}/evaluation {p}/evaluation": 0,
    "export --model nobody --out {p}/exported --registry {p}/registry": 2,
    "download": 0,
    "predict {p}/nowhere.jpg --phrases star": 2,
    "serve --model nobody --registry {p}/registry": 2,
    "world --recipe nonsense --out {p}/world": 2,
}
"""Calls that must answer at once, and their exit codes; {p} is a folder with a registry."""


def _loaded(program: str) -> list[str]:
    """Heavy packages that are loaded when the program ends; its last line prints them."""
    program = f"import sys\n{program}\nprint(*[m for m in {HEAVY} if m in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    return ran.stdout.splitlines()[-1].split()


@pytest.mark.parametrize("module", LIGHT)
def test_what_only_moves_data_loads_no_torch(module):
    assert _loaded(f"import {module}") == []


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A registry with a version, its metrics and an evaluation."""
    folder: Path = tmp_path_factory.mktemp("imports")
    toys.write_bundle(folder / "model")
    (folder / "metrics.json").write_text('{"coco/AP": 0.5}')
    versions.register(folder / "registry", "toy", folder / "model", {"coco/AP": 0.5}, {})
    evaluations.evaluation(folder / "evaluation")
    toys.write_shards(folder / "shards")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_needs_no_torch_loads_none(place, command):
    arguments = command.format(p=place).split()
    program = (
        "from omnidet import cli\n"
        "try:\n"
        f"    code = cli.main({arguments})\n"
        "except SystemExit as stop:\n"
        "    code = stop.code\n"
        f"assert code == {COMMANDS[command]}, code"
    )
    assert _loaded(program) == []


def test_the_class_that_users_import_is_loaded_when_it_is_asked_for():
    program = (
        "import sys, omnidet; assert 'torch' not in sys.modules\n"
        "from omnidet import OmniDet\n"
        "from omnidet.inference.detector import OmniDet as own\n"
        "assert OmniDet is own and 'torch' in sys.modules\n"
        "assert 'OmniDet' in dir(omnidet)\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)


def test_a_name_that_there_is_not():
    import omnidet

    with pytest.raises(AttributeError, match="OmniDetector"):
        _ = omnidet.OmniDetector
