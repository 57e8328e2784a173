"""The shape of the repository: layers, the top level, tests that mirror the code, the tree in the README."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FIXED = [
    "components",
    "pipelines",
    "omnidet",
    "containers",
    "manifests",
    "tests",
    "dvc.yaml",
    "pyproject.toml",
    "README.md",
]
BESIDE = [
    *("LICENSE", "Makefile", "params.yaml", "constraints.txt", "dvc.lock"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "docs", "benchmarks"),
    "data",  # of a clone that tracks datasets: its .dvc files alone
]
OTHER_TREES = ("components", "pipelines", "containers", "manifests", "docs", "benchmarks")
"""Folders of tests/ that mirror a folder beside omnidet/."""
WITHOUT_A_MODULE = {
    "test_dvc_remote.py",
    "test_layout.py",
    "test_real_data.py",
    "test_real_shards.py",
    "test_demo.py",
    "test_storage_s3.py",
    "data/sharding/test_build_s3.py",
    "data/test_damage.py",
    "data/sources/test_contract.py",
    "losses/test_contract.py",
    "matching/test_contract.py",
    "pipelines/test_docker.py",
    "recipes/test_recipes.py",
    "report/test_in_browser.py",
}


def _tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return listed.stdout.splitlines()


def test_the_layers_are_kept():
    program = Path(sys.executable).parent / "lint-imports"
    ran = subprocess.run(
        [str(program), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_top_level_holds_nothing_else():
    top = {path.partition("/")[0] for path in _tracked()}
    assert {name for name in top if not name.startswith(".")} <= {*FIXED, *BESIDE}


def test_git_ignores_datasets_but_not_dvc_s_notes_of_them():
    """`dvc import-url` refuses to write a note that git ignores; what the pipeline makes is in no commit."""
    _tracked()
    made = [
        "data/world/coco/annotations/a.json",
        "data/shards/index.json",
        "data/coco",
        "data/raw/coco.zip",
        "data/new/a.jpg",
    ]
    notes = ["data/coco.dvc", "data/raw/coco.zip.dvc"]
    asked = subprocess.run(
        ["git", "check-ignore", *made, *notes], cwd=ROOT, capture_output=True, text=True
    )
    assert asked.stdout.splitlines() == made


def test_every_test_file_mirrors_a_module():
    strays = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        relative = path.relative_to(ROOT / "tests")
        if relative.parts[0] in OTHER_TREES or relative.as_posix() in WITHOUT_A_MODULE:
            continue
        if not (ROOT / "omnidet" / relative.parent / relative.name.removeprefix("test_")).is_file():
            strays.append(relative.as_posix())
    assert strays == []


def test_the_list_of_exceptions_is_not_longer_than_needed():
    assert [
        name for name in sorted(WITHOUT_A_MODULE) if not (ROOT / "tests" / name).is_file()
    ] == []


def test_every_stage_folder_has_tests():
    folders = {
        p.parent.relative_to(ROOT / "omnidet") for p in (ROOT / "omnidet").rglob("__init__.py")
    } - {Path()}
    assert [
        str(f) for f in sorted(folders) if not list((ROOT / "tests" / f).glob("test_*.py"))
    ] == []


def test_the_tree_in_the_readme_is_the_real_one():
    blocks = re.findall(
        r"```[a-z]*\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    trees = [block for block in blocks if block.startswith("omnidet/")]
    assert len(trees) == 1, "README.md has no code block, or several, that begins with 'omnidet/'"
    shown = set(re.findall(r"\w+\.py\b", trees[0])) - {"__init__.py"}
    real = {p.name for p in (ROOT / "omnidet").rglob("*.py")} - {"__init__.py"}
    assert shown == real


def test_no_folder_of_odds_and_ends():
    names = {p.name for p in (ROOT / "omnidet").rglob("*") if p.is_dir()} | {
        p.stem for p in (ROOT / "omnidet").rglob("*.py")
    }
    assert names & {"utils", "common", "misc", "helpers", "core"} == set()
