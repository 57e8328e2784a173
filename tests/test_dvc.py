"""dvc.yaml keeps its promise: a change re-runs the stages that it touches, and no others."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import grimp
import pytest
import yaml

from omnidet import plugins
from omnidet.recipes import by_name
from omnidet.recipes.recipe import Recipe
from omnidet.steps import train_detector
from omnidet.training import own_code

ROOT = Path(__file__).parents[1]
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
STEPS: dict[str, Callable[..., Any]] = {
    "world": train_detector.draw_world,
    "shards": train_detector.build_shards,
    "vocabulary": train_detector.build_vocabulary,
    "train": train_detector.train,
    "evaluate": train_detector.evaluate,
    "report": train_detector.write_report,
    "register": train_detector.register,
    "gate": train_detector.gate,
}
"""The function that each stage's command calls."""
CARRIERS = {
    *("omnidet", "omnidet.config", "omnidet.plugins", "omnidet.http", "omnidet.storage"),
    *("omnidet.object_store", "omnidet.object_folders"),
    *("omnidet.local_files", "omnidet.local_folders"),
    *("omnidet.s3_client", "omnidet.extras", "omnidet.counted"),
}
"""What only carries data between stages, or words a message: listed, it would re-run everything at
every touch."""
NOT_OF_THE_MAIN_JOB = {"retrain"}
"""Fields of a recipe that no stage reads: of new categories."""


@pytest.fixture(scope="module")
def graph():
    built = grimp.build_graph("omnidet", exclude_type_checking_imports=True)
    # `from omnidet import OmniDet` is for users; nothing inside imports it that way.
    built.remove_import(importer="omnidet", imported="omnidet.inference.detector")
    return built


def _functions(function: Callable[..., Any]) -> list[ast.stmt]:
    """The function and those of its file that it calls, however deep; of a class, all methods."""
    tree = ast.parse(Path(inspect.getfile(function)).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    known = {node.name: node for node in tree.body if isinstance(node, kinds)}
    found: dict[str, ast.stmt] = {}
    names = [function.__name__]
    while names:
        name = names.pop()
        if name in known and name not in found:
            found[name] = known[name]
            names += [n.id for n in ast.walk(known[name]) if isinstance(n, ast.Name)]
    return list(found.values())


def _modules_of(function: Callable[..., Any], modules: set[str]) -> set[str]:
    """The modules that it and the functions it calls use."""
    tree = ast.parse(Path(inspect.getfile(function)).read_text(encoding="utf-8"))
    bodies = _functions(function)
    bound: dict[str, str] = {}
    for statement in [*tree.body, *(node for body in bodies for node in ast.walk(body))]:
        if isinstance(statement, ast.ImportFrom) and statement.module:
            for alias in statement.names:
                whole = f"{statement.module}.{alias.name}"
                bound[alias.asname or alias.name] = whole if whole in modules else statement.module
    used = {n.id for body in bodies for n in ast.walk(body) if isinstance(n, ast.Name)}
    taken = {module for name, module in bound.items() if name in used and module in modules}
    # The recipe itself is the type of an argument here: what it says comes as parameters.
    return {module for module in taken if not module.startswith("omnidet.recipes")}


def _parts(recipe: Recipe, stage: str) -> set[str]:
    """Modules of the plug-ins that the recipe names for a stage."""
    transforms = [t for stream in recipe.streams for t in (*stream.transforms, stream.combine) if t]
    parts = {
        "train": [
            *(("omnidet.data.transforms", t) for t in transforms),
            *(("omnidet.losses", loss.name) for loss in recipe.losses),
            ("omnidet.matching", recipe.matching.matcher),
        ],
        "evaluate": [("omnidet.measures", b.measure) for b in recipe.evaluation.benchmarks],
    }.get(stage, [])
    names = {f"{folder}.{plugins.kind_of(part) or part}" for folder, part in parts}
    if stage in ("train", "evaluate"):
        names.add(f"omnidet.model.backbones.{plugins.kind_of(recipe.model.backbone)}")
    return names


def _path(module: str) -> str:
    own = ROOT / module.replace(".", "/")
    return (
        (own / "__init__.py" if own.is_dir() else own.with_suffix(".py"))
        .relative_to(ROOT)
        .as_posix()
    )


def _code_of(graph: Any, stage: str) -> set[str]:
    """Every file whose change may change what the stage makes."""
    modules = set(graph.modules)
    first = _modules_of(STEPS[stage], modules) | _parts(by_name(PARAMS["recipe"]), stage)
    reached = first.union(*(graph.find_upstream_modules(module) for module in first))
    own = {m for m in reached if m not in CARRIERS and not m.startswith("omnidet.steps")}
    own |= {f"omnidet.recipes.{PARAMS['recipe']}", "omnidet.recipes.recipe"}
    return {_path(module) for module in own}


def _deps_on_code(stage: str) -> list[str]:
    return [dep for dep in STAGES[stage]["deps"] if dep.startswith("omnidet/")]


def _covers(dep: str, file: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


@pytest.mark.parametrize("stage", STAGES)
def test_a_change_of_code_re_runs_every_stage_that_uses_it(graph, stage):
    deps = _deps_on_code(stage)
    lacking = [f for f in sorted(_code_of(graph, stage)) if not any(_covers(d, f) for d in deps)]
    # A package's own __init__.py holds no code.
    assert [file for file in lacking if not file.endswith("__init__.py")] == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_code_that_it_does_not_use(graph, stage):
    files = _code_of(graph, stage)
    assert [d for d in _deps_on_code(stage) if not any(_covers(d, f) for f in files)] == []


def test_a_finished_training_is_recognised_by_all_code_that_its_weights_depend_on(graph):
    """Or the stage, run again, would give the weights of the code before."""
    first = {"omnidet.training.loop", "omnidet.training.objective", "omnidet.data.mixing.mixture"}
    first |= _parts(by_name(PARAMS["recipe"]), "train")
    reached = first.union(*(graph.find_upstream_modules(module) for module in first)) - CARRIERS
    files = [_path(m).removeprefix("omnidet/") for m in reached if m != "omnidet.progress"]
    assert [f for f in sorted(files) if not any(_covers(p, f) for p in own_code.PARTS)] == []
    assert [p for p in own_code.PARTS if not any(_covers(p, f) for f in files)] == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_parameters_that_its_step_reads(stage):
    fields = {f.name for f in dataclasses.fields(Recipe)}
    read = {
        node.attr
        for body in _functions(STEPS[stage])
        for node in ast.walk(body)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "recipe"
    }
    assert set(STAGES[stage]["params"]) == {"recipe", *(read & fields)}


@pytest.mark.slow
def test_what_was_registered_before_is_judged_again_by_the_registry_of_now(tmp_path, monkeypatch):
    """DVC keeps what a stage has made: back at parameters of before, it would not run the gate."""
    asking = {name: STAGES[name] for name in STAGES if "--registry" in STAGES[name]["cmd"]}
    stages = {}
    for name, stage in asking.items():
        files = " ".join(next(iter(out)) if isinstance(out, dict) else out for out in stage["outs"])
        cmd = f"echo {name} >> log; mkdir -p runs/demo; echo done > {files}"
        stages[name] = {**stage, "cmd": cmd, "deps": ["model"], "params": []}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    dvc = [sys.executable, "-m", "dvc"]
    for command in (["git", "init", "-q"], [*dvc, "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    for weights in ("one", "other", "one", "one"):
        (tmp_path / "model").write_text(weights)
        subprocess.run([*dvc, "repro", "-q"], cwd=tmp_path, check=True)
    ran = (tmp_path / "log").read_text().split()
    assert sorted(ran) == sorted(["register", "gate"] * 3)  # unchanged, nothing runs


def test_every_field_of_the_recipe_is_a_parameter_of_some_stage():
    """So that no key in params.yaml is without effect."""
    fields = {f.name for f in dataclasses.fields(Recipe)} - NOT_OF_THE_MAIN_JOB
    assert {p for stage in STAGES.values() for p in stage["params"]} == {"recipe", *fields}
    assert set(PARAMS) == {"recipe", *fields}  # DVC wants the key of a parameter to be there


def test_the_steps_are_those_of_the_stages():
    assert set(STEPS) == set(STAGES)
    assert isinstance(train_detector, ModuleType)
