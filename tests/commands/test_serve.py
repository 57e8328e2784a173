"""`omnidet serve` as a process: found by its registry, asked, changed, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omnidet import cli
from omnidet.registry import versions
from tests import toys

ROOT = Path(__file__).parents[2]
PICTURE = toys.png(90, 30, [(5, 5, 20, 20)])


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    for seed in (0, 1):
        toys.write_bundle(folder / f"model{seed}", seed)
        versions.register(
            folder / "registry", "toy", folder / f"model{seed}", {"AP": float(seed)}, {}
        )
    versions.promote(folder / "registry", "toy", 1)
    (folder / "damaged").mkdir()
    (folder / "damaged" / "config.json").write_text("{}")
    shutil.copytree(folder / "model0", folder / "huge")
    config = json.loads((folder / "huge" / "config.json").read_text())
    config["model"]["embedding_width"] = 1 << 42  # more than any address space
    (folder / "huge" / "config.json").write_text(json.dumps(config))
    return folder


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address; the process is killed afterwards if it still runs."""
    call = [sys.executable, "-m", "omnidet.cli", "serve", "--port", "0", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.search(r"at (http://\S+)$", line)
            assert found, line + (process.stderr.read() if process.stderr else "")
            yield process, found.group(1)
        finally:
            process.kill()


def ask(url: str, body: bytes | None = None, kind: str = "application/json") -> Any:
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        request, timeout=30
    ) as answer:
        return json.loads(answer.read())


@pytest.mark.slow
def test_a_champion_is_served_followed_and_stopped(place):
    """One process through its whole life, as on a cluster."""
    arguments = ("--model", "toy@champion", "--registry", str(place / "registry"), "--follow", "1")
    with serving(*arguments) as (process, url):
        assert ask(f"{url}/v2/health/ready") == {"ready": True}
        assert ask(f"{url}/v2/models/toy")["versions"] == ["1"]
        path = f"{url}/detect?phrases=red+star&phrases=ring&threshold=0"
        first = ask(path, PICTURE, "image/png")
        assert first["model"] == {"name": "toy", "version": "1"}
        assert {found["phrase"] for found in first["detections"]} == {"red star", "ring"}
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(path, b"no picture", "image/png")
        assert refused.value.code == 400
        refused.value.close()

        versions.promote(place / "registry", "toy", 2)
        deadline = time.monotonic() + 30
        while ask(f"{url}/v2/models/toy")["versions"] == ["1"]:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        second = ask(path, PICTURE, "image/png")
        assert second["model"]["version"] == "2"
        assert second["detections"] != first["detections"]

        # A request whose body is still on its way when the stop comes gets its answer.
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as begun:
            head = (
                "POST /detect?phrases=ring HTTP/1.1",
                "Host: x",
                "Content-Type: image/png",
                f"Content-Length: {len(PICTURE)}",
            )
            begun.sendall("\r\n".join((*head, "", "")).encode() + PICTURE[:50])
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            with pytest.raises(OSError, match="refused"):  # and nobody new gets in
                socket.create_connection((host, int(port)), timeout=5)
            begun.sendall(PICTURE[50:])
            assert begun.recv(1000).startswith(b"HTTP/1.1 200")
        assert process.wait(20) == 0
        log = process.stderr.read() if process.stderr else ""
    assert "toy is version 2 from now on" in log
    assert re.search(r"POST /detect 200 \d+\.\d+ s", log)
    assert "phrases=" not in log
    assert "Traceback" not in log


WRONG = {
    "--model nobody --registry {p}/registry": "'nobody' in {p}/registry",
    "--model toy@best --registry {p}/registry": "alias best of 'toy'",
    "--model toy@9 --registry {p}/registry": "version 9 of 'toy'",
    "--model toy --registry {p}/nowhere": "'toy' in {p}/nowhere",
    "--model {p}/damaged": "format version None",
    "--model {p}/model0 --device cuda:77": "--device cuda:77",
    "--model {p}/model0 --device fast": "--device fast",
    "--model {p}/model0 --port 70000": "port 70000",
    "--model {p}/model0 --concurrency 0": "concurrency 0",
    "--model {p}/model0 --max-phrases 0": "max_phrases is 0",
    "--model {p}/model0 --follow 5": "{p}/model0 is a folder",
    "--model toy --follow 0.1": "--follow 0.1",
    "--model toy --name org/toy": "--name org/toy",
    "--model toy --max-request-megabytes 300": "--max-request-megabytes 256",
    "--model toy --follow nan": "--follow nan",
    "--model toy --follow inf": "--follow inf",
    "--model {p}/model0 --host 203.0.113.7": "203.0.113.7:8080",
    "--model {p}/model0 --host no.such.host.invalid": "no.such.host.invalid:8080",
}


@pytest.mark.parametrize("call", WRONG)
def test_wrong_calls(place, capsys, call):
    assert cli.main(["serve", *call.format(p=place).split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("omnidet serve: ")
    assert WRONG[call].format(p=place) in line


def test_a_port_that_is_taken(place, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["serve", "--model", str(place / "model0"), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"127.0.0.1:{port}" in said
    assert "in use" in said


def test_without_the_packages_the_line_says_which_to_install(place, capsys, monkeypatch):
    monkeypatch.delattr("omnidet.serving.server", raising=False)
    monkeypatch.delitem(sys.modules, "omnidet.serving.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert cli.main(["serve", "--model", str(place / "model0")]) == 2
    said = capsys.readouterr().err
    assert "uvicorn" in said
    assert "pip install 'omnidet[serve]'" in said


def test_following_survives_what_it_cannot_load(place, tmp_path, caplog, monkeypatch):
    """A damaged version, or a registry that is away, costs a line in the log and no answers."""
    from omnidet.commands import serve
    from omnidet.serving.config import ServerConfig
    from omnidet.serving.service import Service

    monkeypatch.chdir(tmp_path)
    fetched = tmp_path / ".cache" / "models" / "1"
    fetched.mkdir(parents=True)
    options = cli._parser().parse_args(
        ["serve", "--model", "toy", "--registry", "s3://bucket/registry", "--follow", "1"]
    )
    options.follow = 0.05
    service = Service(serve.load(place / "model0", "cpu"), "toy", "1", ServerConfig())
    answers, came = (
        [
            OSError("the store\nis away"),
            (place / "damaged", "toy", "7"),
            (place / "huge", "toy", "8"),
        ],
        threading.Event(),
    )

    def find(*_: str) -> tuple[Path, str, str]:
        if answers:
            answer = answers.pop(0)
            if isinstance(answer, OSError):
                raise answer
            return answer
        if service.loaded.version == "2":
            came.set()
            threading.Event().wait()  # the test is over: this thread is never heard of again
        return place / "model1", "toy", "2"

    monkeypatch.setattr(serve, "find_model", find)
    with caplog.at_level("INFO", "omnidet.server"):
        threading.Thread(target=serve.follow, args=(service, options, fetched), daemon=True).start()
        assert came.wait(30)
    first, second, third, fourth = (record.message for record in caplog.records)
    assert first == "still version 1: the store is away"
    assert second.startswith("still version 1: ")
    assert third.startswith("still version 1: ")  # torch has no room for it
    assert fourth == "toy is version 2 from now on"
    assert not fetched.exists()  # the disk of a pod is small
    assert (place / "model1").is_dir()
