"""Uploads and runs, on a server that speaks KFP's REST API."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kfp_server_api import ApiException

from pipelines import client, package
from tests.pipelines.fake_kfp import Fake

PACKAGE = package.path("train_detector")
NAME = "omnidet-train-detector"


def _upload(fake: Fake, version: str = "1") -> tuple[object, client.Uploaded]:
    connection = client.Server(fake.host).connect()
    return connection, client.upload(connection, None, _package(version))


def _package(version: str = "1") -> client.Package:
    return client.Package(PACKAGE, NAME, version, package.described(PACKAGE))


def _submit(fake: Fake, **parameters: object) -> str:
    connection, uploaded = _upload(fake)
    job = client.Job(uploaded, "omnidet", "run", parameters)
    return client.submit(connection, None, job)


def test_a_run_names_pipeline_version_experiment_and_parameters(fake):
    assert _submit(fake, train_steps=20) == "run-0"
    (run,) = fake.runs.values()
    assert run["runtime_config"]["parameters"] == {"train_steps": 20}
    assert run["pipeline_version_reference"] == {
        "pipeline_id": "pipeline-0",
        "pipeline_version_id": "version-0",
    }
    assert run["experiment_id"] == "experiment-0"
    assert fake.experiments[0]["display_name"] == "omnidet"
    assert set(fake.packages) == {PACKAGE.read_bytes()}


def test_a_version_is_uploaded_once(fake):
    _, first = _upload(fake)
    assert _upload(fake)[1] == first == client.Uploaded("pipeline-0", "version-0")
    assert _upload(fake, "2")[1] == client.Uploaded("pipeline-0", "version-1")
    assert [len(fake.pipelines), len(fake.versions)] == [1, 2]


def test_pipeline_and_version_are_described(fake):
    """The UI's form shows no descriptions of parameters: these two are what people can read."""
    _upload(fake)
    shown = [fake.pipelines[0]["description"], fake.versions[0]["description"]]
    assert shown == 2 * [package.described(PACKAGE)]
    assert "| data_version |" in shown[0]


def test_a_pipeline_that_somebody_else_made_in_between_is_used(fake):
    fake.pipelines.append({"display_name": NAME, "pipeline_id": "theirs"})
    fake.blind.add(NAME)
    assert _upload(fake)[1] == client.Uploaded("theirs", "version-0")
    assert fake.calls["POST /pipelines/upload"] == 1


def test_short_outages_while_waiting_cost_nothing(fake):
    run_id = _submit(fake)
    fake.failures[f"GET /runs/{run_id}"] = [503, 500, 502]
    connect = client.Server(fake.host).connect
    assert client.wait(connect, run_id, 60, poll_seconds=0.01).state == "SUCCEEDED"


def test_an_expired_token_is_read_again(fake, tmp_path):
    file = tmp_path / "token"
    file.write_text("first\n")
    fake.token = "first"
    server = client.Server(fake.host, token_file=file)
    connection = server.connect()
    _, uploaded = connection, client.upload(connection, None, _package())
    run_id = client.submit(connection, None, client.Job(uploaded, "omnidet", "run", {}))
    fake.token = "second"
    file.write_text("second\n")
    connections = iter((lambda: connection, server.connect))  # the first has the old token
    ended = client.wait(lambda: next(connections)(), run_id, 60, poll_seconds=0.01)
    assert ended.state == "SUCCEEDED"


def test_an_outage_while_a_token_is_read_again_costs_nothing(fake):
    run_id = _submit(fake)
    fake.failures[f"GET /runs/{run_id}"] = [401, 401]
    fake.failures["GET /healthz"] = [503, 503]
    said: list[str] = []
    connect = client.Server(fake.host).connect
    ended = client.wait(connect, run_id, 60, poll_seconds=0.01, say=said.append)
    assert ended.state == "SUCCEEDED"
    assert [("503" in line, "answers again" in line) for line in said] == [
        (True, False),
        (False, True),
    ]
    fake.token = "other"
    with pytest.raises(client.ServerError, match="401"):
        client.wait(connect, run_id, 60, poll_seconds=0.01)


def test_the_wait_ends_when_the_server_stays_away(fake):
    run_id = _submit(fake)
    fake.failures[f"GET /runs/{run_id}"] = [503] * 1000
    connect = client.Server(fake.host).connect
    with pytest.raises(ApiException, match="503"):
        client.wait(connect, run_id, 60, poll_seconds=0.01, patience_seconds=0.1)


def test_the_wait_ends_in_time(fake):
    run_id = _submit(fake)
    fake.states = ("RUNNING",)
    started = time.monotonic()
    with pytest.raises(client.ServerError, match=rf"{run_id} is RUNNING .*status {run_id}"):
        client.wait(client.Server(fake.host).connect, run_id, 0.05, poll_seconds=0.01)
    assert time.monotonic() - started < 5


def test_an_unreachable_server(fake):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(client.ServerError, match=f"{host} .*--host or KFP_ENDPOINT"):
        client.Server(host).connect()
    with pytest.raises(client.ServerError, match=r"'localhost:8080'.* http://"):
        client.Server("localhost:8080").connect()


def test_a_token_file_that_is_missing(fake, tmp_path):
    with pytest.raises(client.ServerError, match=f"{tmp_path}/none"):
        client.Server(fake.host, token_file=tmp_path / "none").connect()
    assert not fake.calls


def test_a_wrong_token(fake):
    fake.token = "right"
    with pytest.raises(client.ServerError, match=r"401 .*--token-file"):
        client.Server(fake.host, token="wrong").connect()


@pytest.mark.parametrize(
    ("status", "words"), [(403, "--namespace"), (404, "does not exist"), (500, "scripted 500")]
)
def test_a_refusal_is_one_line(fake, status, words):
    fake.failures["POST /runs"] = [status]
    with pytest.raises(ApiException) as caught:
        _submit(fake)
    said = client.explain(caught.value)
    assert f"{status} scripted {status}" in said
    assert words in said
    assert "\n" not in said


def test_an_outage_is_said_once_and_so_is_its_end(fake, capfd):
    run_id = _submit(fake)
    fake.failures[f"GET /runs/{run_id}"] = [503] * 5
    said: list[str] = []
    client.wait(client.Server(fake.host).connect, run_id, 60, poll_seconds=0.01, say=said.append)
    assert [("503" in line, "answers again" in line) for line in said] == [
        (True, False),
        (False, True),
    ]
    assert capfd.readouterr() == ("", "")


def test_the_log_of_a_node(fake):
    fake.logs["wf-1"] = "first\nsecond\n"
    fake.token = "right"
    assert client.Server(fake.host, token="right").log("run-0", "wf-1") == "first\nsecond\n"
    assert client.Server(fake.host, token="right").log("run-0", "wf-2") is None
    assert client.Server(fake.host, token="wrong").log("run-0", "wf-1") is None


@pytest.mark.slow
@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED"])
def test_plain_kfp_says_0_and_the_state_as_the_docs_say(fake, tmp_path, state):
    """docs/pipeline.md shows this command."""
    fake.states = (state,)
    ran = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "kfp"), "--endpoint", fake.host),
            *("--namespace", "omnidet", "--output", "json", "--existing-token", "none"),
            *("run", "create", "--experiment-name", "omnidet", "--run-name", "train"),
            *("--package-file", str(PACKAGE), "--timeout", "60", "train_steps=20"),
        ],
        capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout[ran.stdout.index("{") :])["state"] == state
    assert fake.runs["run-0"]["runtime_config"]["parameters"] == {"train_steps": 20}
