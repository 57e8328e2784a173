"""A connection to the Kubernetes API: outages are waited for, refusals are not."""

from __future__ import annotations

import threading

import pytest

from components.trainjob import connection
from components.trainjob.cluster import Cluster
from components.trainjob.connection import ClusterError
from components.trainjob.manifest import manifest
from tests.components.trainjob.conftest import JOB, api
from tests.components.trainjob.fake_kubernetes import Fake
from tests.components.trainjob.kubernetes_api import NAMESPACE


def test_an_outage_is_waited_for_with_a_line_each(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.add_job(manifest(JOB))
    fake.faults = [("get", "trainjobs", status) for status in (500, 503, 429, 504)]
    found = api(fake).job(NAMESPACE, JOB.name)
    assert found is not None
    assert found["metadata"]["name"] == JOB.name
    assert fake.faults == []
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" in ")[2] for line in lines] == ["0.01 s", "0.02 s", "0.04 s", "0.08 s"]
    assert "429 scripted 429" in lines[2]


def test_an_outage_that_lasts_is_given_up(fake: Fake) -> None:
    fake.faults = [("get", "trainjobs", 503)] * 1000
    with pytest.raises(ClusterError, match=f"{NAMESPACE}/x: 503 scripted 503") as caught:
        api(fake, patience_seconds=0.1).job(NAMESPACE, "x")
    assert caught.value.is_outage


def test_a_refusal_is_not_repeated(fake: Fake) -> None:
    fake.rules = []
    with pytest.raises(ClusterError, match="403 trainjobs is forbidden") as caught:
        api(fake).job(NAMESPACE, "x")
    assert not caught.value.is_outage
    assert fake.calls["get", "trainjobs"] == 1


def test_an_expired_token_is_read_again(fake: Fake) -> None:
    fake.token = "first"
    tokens = iter(("old", "first"))
    reconnecting = Cluster(lambda: fake.client(next(tokens)), pause_seconds=0.01)
    assert reconnecting.job(NAMESPACE, "x") is None
    assert list(tokens) == []


def test_a_server_that_does_not_answer_is_given_up(fake: Fake) -> None:
    client = fake.client()
    fake.__exit__()
    quick = Cluster(lambda: client, patience_seconds=0.1, pause_seconds=0.01)
    with pytest.raises(ClusterError, match="no answer") as caught:
        quick.job(NAMESPACE, "x")
    assert caught.value.is_outage


def test_without_a_cluster_there_are_no_credentials(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", "none")
    with pytest.raises(ClusterError, match="no credentials"):
        Cluster(patience_seconds=0.1).job(NAMESPACE, "x")


def test_a_closed_connection_ends_the_threads_that_use_it(fake: Fake) -> None:
    fake.faults = [("get", "trainjobs", 503)] * 1000
    closed = Cluster(fake.client, pause_seconds=60)
    ended = []

    def ask() -> None:
        try:
            closed.job(NAMESPACE, "x")
        except SystemExit:
            ended.append(True)

    thread = threading.Thread(target=ask)
    thread.start()
    closed.close()
    thread.join(timeout=20)
    assert ended == [True]
    calls = fake.calls["get", "trainjobs"]
    with pytest.raises(SystemExit):
        closed.job(NAMESPACE, "x")
    assert fake.calls["get", "trainjobs"] == calls
    fake.faults.clear()
    assert closed.fresh().job(NAMESPACE, "x") is None


def test_the_namespace_of_a_pod(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path)
    assert connection.own_namespace() is None
    (tmp_path / "namespace").write_text("team\n")
    assert connection.own_namespace() == "team"
