"""Kubeflow's Model Registry, over real HTTP to a small server with its paths, ids and responses."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnidet.registry import kubeflow
from tests.registry.fake_model_registry import ModelRegistry

pytestmark = pytest.mark.slow

TOKEN = "a-token-that-nobody-may-see"
URI = "s3://models/registry/toy/1"


@pytest.fixture(params=["v1", "v1alpha3"])
def server(request, monkeypatch) -> Iterator[ModelRegistry]:
    running = ModelRegistry(request.param)
    for name in (
        "MODEL_REGISTRY_TOKEN_FILE",
        "OMNIDET_RUN_ID",
        "OMNIDET_RUN_NAME",
        "OMNIDET_RUN_NAMESPACE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MODEL_REGISTRY_ADDRESS", running.address)
    monkeypatch.setattr(kubeflow, "WAIT_SECONDS", 0.01)
    yield running
    running.stop()


def _register(uri: str = URI, version: str = "1") -> kubeflow.Registered:
    return kubeflow.connect().register("toy", version, uri, {"coco/AP": 0.5}, kubeflow.run_source())


def _one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    assert TOKEN not in str(error)
    return str(error)


def test_a_version_has_its_uri_metrics_and_run(server, monkeypatch):
    for name, value in {"ID": "run-7", "NAME": "nightly", "NAMESPACE": "team"}.items():
        monkeypatch.setenv(f"OMNIDET_RUN_{name}", value)
    metadata = {"coco/AP": 0.5, "steps": 3, "precise": True, "commit": "abc", "none": math.nan}
    connected = kubeflow.connect()
    assert connected.api == server.api
    made = connected.register("toy", "1", URI, metadata, kubeflow.run_source())
    (model,), (version,) = server.models, server.versions
    (artifact,) = server.artifacts[version["id"]]
    assert made == kubeflow.Registered(model["id"], version["id"], artifact["id"])
    assert model["name"] == "toy"
    assert (version["name"], version["registeredModelId"]) == ("1", model["id"])
    assert version["customProperties"] == {
        "coco/AP": {"metadataType": "MetadataDoubleValue", "double_value": 0.5},
        "steps": {"metadataType": "MetadataIntValue", "int_value": "3"},
        "precise": {"metadataType": "MetadataBoolValue", "bool_value": True},
        "commit": {"metadataType": "MetadataStringValue", "string_value": "abc"},
        "none": {"metadataType": "MetadataStringValue", "string_value": "nan"},
    }
    assert artifact["uri"] == URI
    assert (artifact["artifactType"], artifact["modelFormatName"]) == ("model-artifact", "omnidet")
    source = {
        key.removeprefix("modelSource"): value
        for key, value in artifact.items()
        if key.startswith("modelSource")
    }
    assert source == {
        "Kind": "kfp",
        "Class": "pipelinerun",
        "Group": "team",
        "Id": "run-7",
        "Name": "nightly",
    }


@pytest.mark.slow
def test_again_makes_nothing_new(server):
    first = _register()
    keys = server.artifacts[first.version_id][0]
    assert not any(key.startswith("modelSource") for key in keys)  # no run, no source
    before = [r for r in server.requests if r[0] == "POST"]
    assert _register() == first
    assert [r for r in server.requests if r[0] == "POST"] == before
    second = _register(URI[:-1] + "2", "2")
    assert (second.model_id, len(server.models), len(server.versions)) == (first.model_id, 1, 2)


def test_what_a_killed_run_left_is_completed(server):
    first = _register()
    server.artifacts.clear()
    again = _register()
    assert (again.model_id, again.version_id) == (first.model_id, first.version_id)
    assert [a["uri"] for a in server.artifacts[first.version_id]] == [URI]


def test_the_same_version_with_another_uri_is_refused(server):
    _register()
    uris = r"s3://models/registry/toy/1, not s3://other/toy/1"
    with pytest.raises(
        ValueError, match=rf"version 1 of 'toy' .*{uris}.* register\.name"
    ) as caught:
        _register("s3://other/toy/1")
    _one_line(caught.value)


@pytest.mark.slow
def test_another_client_was_first(server):
    """The model did not exist when it was asked for, and does when it is to be made."""
    first = _register()
    missing = (404, b'{"message": "no entity found"}')
    server.faults = {("GET", "registered_model"): [missing], ("GET", "model_version"): [missing]}
    assert _register() == first
    assert (len(server.models), len(server.versions)) == (1, 1)


def test_a_server_that_is_busy_is_asked_again(server):
    server.faults = {
        ("GET", "registered_models"): [(503, b"")],
        ("POST", "model_versions"): [(502, b""), (504, b"")],
    }
    _register()
    assert len(server.versions) == 1


def test_a_token_is_sent(server, tmp_path, monkeypatch):
    server.token = TOKEN
    with pytest.raises(PermissionError, match=r"401.*MODEL_REGISTRY_TOKEN_FILE"):
        kubeflow.connect()
    (tmp_path / "token").write_text("an-old-one")
    monkeypatch.setenv("MODEL_REGISTRY_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(PermissionError) as caught:
        kubeflow.connect()
    assert "an-old-one" not in _one_line(caught.value)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    _register()


@pytest.mark.parametrize("content", [None, "", f"{TOKEN}\n{TOKEN}", "tökén"])
def test_a_wrong_token_file(server, tmp_path, monkeypatch, content):
    monkeypatch.setenv("MODEL_REGISTRY_TOKEN_FILE", str(tmp_path / "token"))
    if content is not None:
        (tmp_path / "token").write_text(content)
    errors = (FileNotFoundError, ValueError)
    with pytest.raises(errors, match=r"MODEL_REGISTRY_TOKEN_FILE='.*token'") as caught:
        kubeflow.connect()
    _one_line(caught.value)
    assert server.requests == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "where", [("GET", "registered_model"), ("POST", "model_versions"), ("POST", "artifacts")]
)
def test_an_error_of_the_server_is_one_line(server, where):
    answer = (500, json.dumps({"message": f"database is gone\n{'x' * 900}"}).encode())
    server.faults = {where: [answer] * kubeflow.TRIES}
    with pytest.raises(
        OSError, match=rf"500 to {where[0]} .*{where[1]}.*database is gone"
    ) as caught:
        _register()
    assert len(_one_line(caught.value)) < 400
    _register()  # and the next one completes it
    made = (server.models, server.versions, *server.artifacts.values())
    assert [len(objects) for objects in made] == [1, 1, 1]


@pytest.mark.parametrize(
    "answer", [(200, b"<html>log in</html>"), (200, b"[]"), (302, b""), (404, b"")]
)
def test_something_else_that_answers(server, answer):
    server.faults = {("GET", "registered_models"): [answer] * 2}
    with pytest.raises(OSError, match=server.address) as caught:
        kubeflow.connect()
    _one_line(caught.value)


def test_nobody_answers(server, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("MODEL_REGISTRY_ADDRESS", f"http://127.0.0.1:{port}")
    with pytest.raises(
        ConnectionError, match=rf"http://127\.0\.0\.1:{port} \(.*refused\)"
    ) as caught:
        kubeflow.connect()
    _one_line(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/team/registry",
        "/team/registry/",
        "/gate/api/model_registry/v1",
        "/api/model_registry",
    ],
)
def test_a_registry_below_a_path_of_a_gateway(server, monkeypatch, path):
    server.prefix = path.partition("/api/")[0].rstrip("/")
    monkeypatch.setenv("MODEL_REGISTRY_ADDRESS", server.address + path)
    assert kubeflow.connect().api == server.api
    assert _register() == _register()


@pytest.mark.parametrize(
    "address",
    ["", "model-registry:8080", "ftp://host", "http://", "http://host?a=b", "http://u:p@host"],
)
def test_wrong_addresses(monkeypatch, address):
    monkeypatch.setenv("MODEL_REGISTRY_ADDRESS", address)
    with pytest.raises(ValueError, match="MODEL_REGISTRY_ADDRESS") as caught:
        kubeflow.connect()
    assert "u:p" not in _one_line(caught.value)


def test_the_module_names_its_settings():
    text = Path(kubeflow.__file__).read_text(encoding="utf-8")
    used = {part.split('"')[0] for part in text.split('environ.get("')[1:]}
    assert all(name in (kubeflow.__doc__ or "") for name in used)
