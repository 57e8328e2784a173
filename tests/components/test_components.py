"""The shape that keeps components small, and that KFP needs."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import components

FOLDER = Path(components.__file__).parent
STEPS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "images"))
MOST_LINES = 10


def _function(step: str) -> tuple[ast.Module, ast.FunctionDef]:
    tree = ast.parse((FOLDER / f"{step}.py").read_text(encoding="utf-8"))
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return tree, function


def test_a_file_is_a_step():
    assert {"configure", "train", "train_on_new_data"} <= set(STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_bodies_are_thin(step):
    _, function = _function(step)
    assert function.name == step
    first = function.body[1].lineno  # after the docstring
    assert function.end_lineno is not None
    assert function.end_lineno - first + 1 <= MOST_LINES


@pytest.mark.parametrize("step", STEPS)
def test_modules_import_little(step):
    tree, _ = _function(step)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            allowed = node.module in ("kfp", *sys.stdlib_module_names)
            assert allowed or (node.module == "components" and names == ["images"])
            assert node.module != "__future__"  # KFP reads the annotations themselves
        elif isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("step", STEPS)
def test_a_test_of_its_own(step):
    assert (Path(__file__).parent / f"test_{step}.py").is_file()
