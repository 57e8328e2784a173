"""The shape of the repository: layers, the top level, tests that mirror the code, the file tree."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
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
    *("CHANGELOG.md", "CONTRIBUTING.md", "docs", "mkdocs.yml", "benchmarks"),
    "data",  # of a clone that tracks datasets: its .dvc files alone
]
OTHER_TREES = ("components", "pipelines", "containers", "manifests", "docs", "benchmarks")
"""Folders of tests/ that mirror a folder beside omnidet/."""
WITHOUT_A_MODULE = {
    "test_dvc_remote.py",
    "test_dvc.py",
    "test_imports.py",
    "test_to_add.py",
    "test_layout.py",
    "test_real_data.py",
    "test_real_shards.py",
    "test_demo.py",
    "test_workflows.py",
    "commands/test_score_refusals.py",
    "data/mixing/test_captions.py",
    "data/mixing/test_composed.py",
    "data/sharding/test_build_s3.py",
    "data/test_damage.py",
    "data/test_vocabulary_files.py",
    "training/test_cuda_path.py",
    "data/sources/test_contract.py",
    "losses/test_contract.py",
    "matching/test_contract.py",
    "model/backbones/test_contract.py",
    "pipelines/test_docker.py",
    "recipes/test_recipes.py",
    "report/test_in_browser.py",
    "samples/test_samples.py",
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


def test_the_layers_in_the_architecture_are_those_that_are_checked():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = pyproject["tool"]["importlinter"]["contracts"][0]
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", text.partition("## One score")[0], re.MULTILINE)
    shown = [re.findall(r"`(.*?)`", row) for row in rows]
    layers = dict.fromkeys(["pipelines", *contract["layers"]])
    assert shown == [layer.split(" | ") for layer in layers]


def test_the_top_level_holds_nothing_else():
    top = {path.partition("/")[0] for path in _tracked()}
    assert {name for name in top if not name.startswith(".")} <= {*FIXED, *BESIDE}


def test_git_ignores_datasets_but_not_dvc_s_notes_of_them():
    """`dvc import-url` refuses to write a note that git ignores; outputs are never committed."""
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


def test_every_module_has_a_test_file_of_its_own():
    """At the place that mirrors it: by the name alone, a test of another room would do."""
    lacking = []
    for package in ("omnidet", "components", "pipelines"):
        for path in sorted((ROOT / package).rglob("*.py")):
            relative = path.relative_to(ROOT / "omnidet" if package == "omnidet" else ROOT)
            own = ROOT / "tests" / relative.parent / f"test_{path.name}"
            if path.stem not in ("__init__", "__main__") and not own.is_file():
                lacking.append(path.relative_to(ROOT).as_posix())
    assert lacking == []


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


def test_the_tree_in_the_architecture_is_the_real_one():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    trees = [block for block in blocks if block.startswith("omnidet/")]
    assert len(trees) == 1, "architecture.md: no code block, or several, begin with 'omnidet/'"
    shown = _paths_in(trees[0])
    files = (path.relative_to(ROOT).as_posix() for path in (ROOT / "omnidet").rglob("*.py"))
    real = {path for path in files if not path.endswith("__init__.py")}
    assert sorted(real - set(shown)) == [], "add these files to the tree in docs/architecture.md"
    assert sorted(set(shown) - real) == [], "remove these files from docs/architecture.md"
    assert len(shown) == len(set(shown))


def _paths_in(tree: str) -> list[str]:
    """Paths of the files in a drawn tree: four columns a level, names separated by " · "."""
    paths, folders = [], []
    for line in tree.splitlines():
        drawn, names = re.fullmatch(r"([│├└─ ]*)(.*)", line).groups()
        del folders[len(drawn) // 4 :]
        for name in names.partition("  ")[0].split(" · "):
            if name.endswith("/"):
                folders.append(name)
            elif name.endswith(".py"):
                paths.append("".join([*folders, name]))
    return paths


def test_no_folder_of_odds_and_ends():
    names = {p.name for p in (ROOT / "omnidet").rglob("*") if p.is_dir()} | {
        p.stem for p in (ROOT / "omnidet").rglob("*.py")
    }
    assert names & {"utils", "common", "misc", "helpers", "core"} == set()
