"""What runs on GitHub: valid YAML, the parts of .ci/run, and a pipeline whose parameters exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"


def _read(name: str) -> dict[Any, Any]:
    content = yaml.safe_load((GITHUB / name).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def _workflow(name: str) -> dict[Any, Any]:
    """YAML 1.1 reads the key `on` as true."""
    content = _read(f"workflows/{name}")
    return {("on" if key is True else key): value for key, value in content.items()}


@pytest.mark.parametrize(
    "path", sorted((GITHUB / "workflows").iterdir()), ids=lambda path: path.name
)
def test_a_workflow_is_whole(path):
    workflow = _workflow(path.name)
    assert {"name", "on", "permissions", "jobs"} <= set(workflow)
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 360  # GitHub's own limit
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])


def test_the_jobs_are_the_parts_of_the_local_run():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    parts = re.findall(r"^(\w+)\(\) \{", script, re.MULTILINE)
    matrix = _workflow("ci.yml")["jobs"]["check"]["strategy"]["matrix"]["part"]
    assert matrix == [part for part in parts if part != "packages"]
    assert f"all) {'; '.join(matrix)} ;;" in script


def test_the_local_run_refuses_an_unknown_part():
    ran = subprocess.run([ROOT / ".ci" / "run", "everything"], capture_output=True, text=True)
    assert ran.returncode == 2
    assert "everything" in ran.stderr


def _submitted(workflow: dict[Any, Any]) -> list[str]:
    """NAME=VALUE of the step that submits, with the defaults of the form filled in."""
    (step,) = (
        step
        for step in workflow["jobs"]["train"]["steps"]
        if "-m pipelines submit" in step.get("run", "")
    )
    inputs = workflow["on"]["workflow_dispatch"]["inputs"]
    command = step["run"]
    for name, value in step["env"].items():
        field = re.fullmatch(r"\$\{\{ inputs\.(\w+) \}\}", value)
        if field:
            command = command.replace(f"${name}", inputs[field[1]].get("default", "2026-11-22"))
    assert "$" not in command
    return [word for word in shlex.split(command) if re.match(r"\w+=", word)]


def test_the_workflow_that_trains_submits_parameters_that_the_pipeline_has():
    from pipelines import package, parameters

    given = _submitted(_workflow("train.yml"))
    assert "recipe=coco_folder" in given
    spec = package.spec(package.path("train_detector"))
    values = parameters.parse(spec, given)
    assert values["train_steps"] == 20000
    assert values["data"] == "s3://omnidet/data/coco"


@pytest.mark.parametrize(
    "path", sorted((GITHUB / "ISSUE_TEMPLATE").iterdir()), ids=lambda path: path.name
)
def test_an_issue_form_asks_something(path):
    form = _read(f"ISSUE_TEMPLATE/{path.name}")
    if path.name == "config.yml":
        assert form["contact_links"][0]["url"].startswith("https://")
    else:
        assert {"name", "description", "body"} <= set(form)
        assert all(field["attributes"]["label"] for field in form["body"])


def test_the_hooks_run_tools_of_the_environment():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert [hook["id"] for hook in hooks] == ["ruff-check", "ruff-format", "mypy"]
    assert all(hook["entry"].startswith(".venv/bin/") for hook in hooks)
