"""Submit, schedule and status against a server that speaks KFP's REST API: exit codes by state, one line for trouble."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import __main__ as command
from pipelines import client, package, parameters
from tests.pipelines.fake_kfp import Fake

pytestmark = pytest.mark.slow

CRON = "0 0 3 * * 1"
PIPELINE = "omnidet-train-detector"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[Fake]:
    """A running server, found by the environment; nothing may have asked it for what it does not know."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    for name in ("KFP_TOKEN", "KFP_TOKEN_FILE", "KFP_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("kfp.client.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    with Fake() as server:
        monkeypatch.setenv("KFP_ENDPOINT", server.host)
        yield server
    assert server.unexpected == []


def _run(*arguments: str) -> int:
    return command.main(list(arguments))


def _submit(*arguments: str) -> int:
    return _run("submit", "--poll", "0.01", *arguments)


def _schedule(*arguments: str, cron: str = CRON) -> int:
    return _run("schedule", "--schedule-name", "weekly", "--cron", cron, *arguments)


def test_submit_uploads_runs_and_waits(fake, capsys):
    assert (
        _submit(
            "train_steps=20",
            "learning_rate=1e-4",
            'settings=["mixing.workers=0"]',
            "workspace=s3://b/w",
        )
        == 0
    )
    version = package.version(package.path("train_detector"))
    assert [p["display_name"] for p in fake.pipelines] == [PIPELINE]
    assert [v["display_name"] for v in fake.versions] == [version]
    assert set(fake.packages) == {package.path("train_detector").read_bytes()}
    (run,) = fake.runs.values()
    assert run["runtime_config"]["parameters"] == {
        "train_steps": 20,
        "learning_rate": 1e-4,
        "settings": ["mixing.workers=0"],
        "workspace": "s3://b/w",
    }
    assert run["pipeline_version_reference"] == {
        "pipeline_id": "pipeline-0",
        "pipeline_version_id": "version-0",
    }
    assert run["experiment_id"] == "experiment-0"
    assert fake.experiments[0]["display_name"] == "omnidet"
    said = capsys.readouterr().out
    assert f"{fake.host}/#/runs/details/run-0" in said
    assert said.rstrip().endswith("run run-0: SUCCEEDED")


@pytest.mark.slow
def test_a_second_submit_uses_the_version_that_is_there(fake):
    assert _submit() == 0
    assert _submit() == 0
    assert len(fake.pipelines) == len(fake.versions) == 1
    assert {
        run["pipeline_version_reference"]["pipeline_version_id"] for run in fake.runs.values()
    } == {"version-0"}


def test_a_pipeline_that_somebody_made_in_between_is_used(fake):
    fake.pipelines.append({"display_name": PIPELINE, "pipeline_id": "theirs"})
    fake.blind.add(PIPELINE)
    assert _submit() == 0
    assert fake.calls["POST /pipelines/upload"] == 1
    assert fake.versions[0]["pipeline_id"] == "theirs"


@pytest.mark.slow
@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "SKIPPED"])
def test_a_run_that_does_not_succeed_is_exit_code_1(fake, capsys, state):
    fake.states = ("RUNNING", state)
    assert _submit() == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"run run-0: {state}: ")
    assert "\n" not in said
    assert ("train: loss is not finite" in said) == (state == "FAILED")


def test_short_outages_while_waiting_cost_nothing(fake):
    fake.failures["GET /runs/run-0"] = [503, 500, 502]
    assert _submit() == 0


def test_a_run_that_takes_too_long(fake, capsys):
    fake.states = ("RUNNING",)
    assert _submit("--timeout", "0.05") == 2
    assert "goes on: see `status run-0`" in capsys.readouterr().err


def test_no_wait(fake):
    fake.states = ("FAILED",)
    assert _submit("--no-wait") == 0
    assert fake.calls["GET /runs/run-0"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("train_stps=20", "did you mean train_steps?"),
        ("xyz=1", "there are catalogue, cpu, data"),
        ("train_steps=many", "expected a whole number"),
        ("train_steps=1.5", "expected a whole number"),
        ("train_steps=true", "expected a whole number"),
        ("learning_rate=fast", "expected a number"),
        ("settings=mixing.workers=0", "expected a list"),
        ("node_selector=[]", "expected a mapping"),
        ("train_steps", "not of the form name=value"),
        (f"data={'x' * 10_000}", "KFP takes 10000"),
        ("recipe=none", "unknown recipe 'none'"),
        ("train_steps=-1", "train.steps=-1: give 1 or more"),
        ("recipe=coco_folder", "set the parameter `data`"),
        ("workspace=", "workspace is empty: give a folder or s3:// URI"),
        ("registry=/folder", "registry=/folder is a folder of one pod"),
        ("data=folder", "data=folder is a folder of one pod"),
        ("num_nodes=0", "num_nodes=0: give 1 or more"),
        ("gpus_per_node=-1", "gpus_per_node=-1: give 0 or more"),
        ("memory=lots", "memory='lots' is no quantity of Kubernetes"),
        ("tolerations=[1]", "tolerations=[1]: give mappings"),
        ('tolerations=[{"foo":1}]', "give mappings, as"),
        ('node_selector={"a":1}', "labels are texts"),
        ("object_store_secret=Bad_Name", "object_store_secret='Bad_Name' is no name"),
        ("object_store_config=", "object_store_config='' is no name"),
        ("train_images=40", "refcocog_val_images is 300: give at most twice train_images"),
    ],
)
def test_wrong_parameters_are_told_before_anything_is_sent(fake, capsys, assignment, words):
    assert _submit(assignment) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said
    assert not fake.calls


def test_parameters_without_default_are_asked_for():
    spec = {"root": {"inputDefinitions": {"parameters": {"data": {"parameterType": "STRING"}}}}}
    with pytest.raises(ValueError, match="parameter data has no default"):
        parameters.parse(spec, [])
    assert parameters.parse(spec, ["data=a=b"]) == {"data": "a=b"}


def test_an_unreachable_server(monkeypatch, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("KFP_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    assert _submit() == 2
    said = capsys.readouterr().err.strip()
    assert "no Kubeflow Pipelines at" in said
    assert "\n" not in said


def test_no_host(monkeypatch, capsys):
    monkeypatch.delenv("KFP_ENDPOINT", raising=False)
    assert _submit() == 2
    assert "give --host or KFP_ENDPOINT" in capsys.readouterr().err


@pytest.mark.slow
def test_a_token_is_read_from_its_file_and_again_when_it_expires(fake, tmp_path, capsys):
    file = tmp_path / "token"
    file.write_text("first\n")
    fake.token = "first"
    fake.failures["GET /runs/run-0"] = [401]
    assert _submit("--token-file", str(file)) == 0
    fake.token = "second"
    assert _submit("--token-file", str(file)) == 2
    assert "401" in capsys.readouterr().err
    assert _submit("--token-file", str(tmp_path / "none")) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_refusal_is_one_line(fake, capsys):
    fake.failures["POST /runs"] = [403]
    assert _submit() == 2
    said = capsys.readouterr().err.strip()
    assert "403 scripted 403: the token's account may not do this" in said
    assert "\n" not in said


def test_a_package_that_is_none(fake, tmp_path, capsys):
    (tmp_path / "x.yaml").write_text("a: 1\n")
    assert _submit("--package", str(tmp_path / "x.yaml")) == 2
    assert "is no compiled pipeline" in capsys.readouterr().err
    assert not fake.calls


@pytest.mark.slow
def test_schedule_is_made_once_and_replaced_when_it_differs(fake, capsys):
    assert _schedule("train_steps=20") == 0
    (first,) = fake.schedules
    assert first["trigger"]["cron_schedule"]["cron"] == CRON
    assert first["mode"] == "ENABLE"
    assert first["no_catchup"] is True
    assert first["max_concurrency"] == "1"
    assert first["runtime_config"]["parameters"] == {"train_steps": 20}

    assert _schedule("train_steps=20") == 0
    assert fake.schedules == [first]
    assert fake.calls["POST /recurringruns"] == 1

    assert _schedule("train_steps=30") == 0
    (second,) = fake.schedules
    assert second["recurring_run_id"] != first["recurring_run_id"]
    assert _schedule("train_steps=30", cron="0 30 3 * * 1") == 0
    assert len(fake.schedules) == 1
    fake.schedules[0]["mode"] = "DISABLE"
    assert _schedule("train_steps=30", cron="0 30 3 * * 1") == 0
    assert fake.schedules[0]["mode"] == "ENABLE"
    said = capsys.readouterr().out
    assert [said.count(word) for word in (" created:", " unchanged:", " replaced:")] == [1, 1, 3]


def test_doubles_of_a_schedule_go(fake):
    assert _schedule() == 0
    fake.schedules.append({**fake.schedules[0], "recurring_run_id": "double"})
    assert _schedule() == 0
    assert len(fake.schedules) == 1


@pytest.mark.slow
def test_a_schedule_outlives_a_replacement_that_fails(fake):
    assert _schedule() == 0
    fake.failures["POST /recurringruns"] = [500]
    assert _schedule("seed=1") == 2
    assert len(fake.schedules) == 1


def test_a_cron_of_five_fields_is_refused_with_the_remedy(fake, capsys):
    assert _schedule(cron="0 3 * * 1") == 2
    assert '"0 0 3 * * 1"' in capsys.readouterr().err
    assert _schedule(cron="daily") == 2
    assert _schedule(cron="0 0 25 * * 1") == 2
    assert _schedule("--max-concurrency", "0") == 2
    client.check_cron("0 */90 0-23/2 1,15 * 1-5")
    assert not fake.calls


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "code"), [("RUNNING", 0), ("SUCCEEDED", 0), ("FAILED", 1), ("CANCELED", 1)]
)
def test_status(fake, capsys, state, code):
    fake.states = (state,)
    assert _submit("--no-wait") == 0
    assert _run("status", "run-0") == code
    assert f"run run-0: {state}" in "".join(capsys.readouterr())


def test_status_of_a_run_that_is_not_there(fake, capsys):
    assert _run("status", "none") == 2
    assert "run none not found" in capsys.readouterr().err


def test_the_wait_ends_when_the_server_stays_away(fake):
    fake.failures["GET /runs/run-0"] = [503] * 1000
    assert _submit("--no-wait") == 0
    server = client.Server(fake.host)
    with pytest.raises(Exception, match="503"):
        client.wait(server.connect, "run-0", 60, poll_seconds=0.01, patience_seconds=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED"])
def test_plain_kfp_says_0_and_the_state_as_the_docs_tell(fake, tmp_path, state):
    """docs/pipeline.md, "With nothing but kfp"."""
    fake.states = (state,)
    ran = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "kfp"), "--endpoint", fake.host, "--namespace", "omnidet", "--output", "json"),
            *("--existing-token", "none", "run", "create", "--experiment-name", "omnidet", "--run-name", "train"),
            *("--package-file", str(package.path("train_detector")), "--timeout", "60", "train_steps=20"),
        ],
        capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout[ran.stdout.index("{") :])["state"] == state
    assert fake.runs["run-0"]["runtime_config"]["parameters"] == {"train_steps": 20}
