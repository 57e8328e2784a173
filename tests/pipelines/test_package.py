"""The committed packages: fresh, readable, small, and named after their commit."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from kfp import components as kfp_components

from omnidet import __version__
from pipelines import package

NAMES = pytest.mark.parametrize("name", package.NAMES)


@pytest.mark.slow
def test_the_packages_are_fresh():
    assert package.stale() == [], "run `python -m pipelines compile` and commit"


@NAMES
def test_kfp_can_load_it(name):
    loaded = kfp_components.load_component_from_file(str(package.path(name)))
    assert loaded.name == package.spec(package.path(name))["pipelineInfo"]["name"]
    assert loaded.name == f"omnidet-{name.replace('_', '-')}"


@NAMES
def test_what_its_steps_import_exists(name):
    """Their text is what runs on a cluster: a module that moves must not leave a name behind."""
    executors = package.spec(package.path(name))["deploymentSpec"]["executors"]
    imported = set()
    for executor in executors.values():
        (text,) = [part for part in executor["container"]["command"] if "\ndef " in part]
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(
                ("components", "omnidet")
            ):
                imported |= {(str(node.module), alias.name) for alias in node.names}
    assert {module for module, _ in imported} >= {"components.run"}
    for module, member in imported:
        if not hasattr(importlib.import_module(module), member):
            importlib.import_module(f"{module}.{member}")


@NAMES
def test_nothing_is_installed_when_a_step_starts(name):
    assert "pip install" not in package.path(name).read_text()


@NAMES
def test_no_image_moves(name):
    assert "latest" not in package.path(name).read_text()


@NAMES
def test_the_package_is_small(name):
    """Its text is repeated in the Workflow object, which must fit in 1.5 MB (pipelines#13738)."""
    assert package.path(name).stat().st_size < 100_000


@NAMES
def test_its_description_is_a_table_of_what_matters(name):
    """The UI shows it beside the form, which has names, types and defaults alone."""
    spec = package.spec(package.path(name))
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    lines = package.described(package.path(name)).splitlines()
    rows = {line.split(" | ")[0].lstrip("| "): line.split(" | ") for line in lines[4:]}
    assert lines[2:4] == ["| parameter | default | what |", "|---|---|---|"]
    assert {"data", "workspace", "registry", "backbone", "train_steps", "settings"} <= set(rows)
    assert set(rows) <= set(inputs)
    for parameter, (_, default, what) in rows.items():
        own = inputs[parameter].get("defaultValue", "required")
        assert str(own) in (default, "", "[]") or float(own) == float(default), parameter
        assert " ".join(inputs[parameter]["description"].split()).startswith(what.rstrip(" |"))
    assert len(quote("\n".join(lines))) < 4000  # it travels in a URL


@NAMES
def test_it_has_few_parameters_whose_names_say_what_is_counted(name):
    inputs = package.spec(package.path(name))["root"]["inputDefinitions"]["parameters"]
    assert len(inputs) < 20
    for parameter, kind in inputs.items():
        if kind["parameterType"].startswith("NUMBER"):
            counted = ("_steps", "_minutes", "_nodes", "s_per_node")
            assert parameter.endswith(counted), parameter


@pytest.mark.parametrize("text", ["a: 1\n", "- 1\n", "", "{", "\x00"])
def test_other_files_are_refused(tmp_path, text):
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"x\.yaml is not"):
        package.spec(file)


def test_the_version_names_package_and_commit(tmp_path, monkeypatch):
    file, version = package.path("train_detector"), re.escape(__version__)
    form = rf"{version}-[0-9a-f]{{12}}(-dirty)?-([0-9a-f]{{12}})"
    found = re.fullmatch(form, package.version(file))
    assert found
    monkeypatch.setattr(package, "ROOT", Path(tmp_path))
    assert package.version(file) == f"{__version__}-unknown-{found[2]}"
