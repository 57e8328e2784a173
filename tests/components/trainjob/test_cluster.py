"""Calls of the Kubernetes API: outages are waited for, refusals are not."""

from __future__ import annotations

import pytest

from components.trainjob import cluster
from components.trainjob.cluster import Cluster, ClusterError
from components.trainjob.manifest import manifest
from tests.components.trainjob.conftest import JOB, api
from tests.components.trainjob.fake_kubernetes import Fake
from tests.components.trainjob.kubernetes_api import NAMESPACE


def test_what_does_not_exist_is_none(fake: Fake) -> None:
    assert api(fake).job(NAMESPACE, "none") is None
    assert api(fake).pods(NAMESPACE, "none") == []
    fake.rules = None
    assert api(fake).pod(NAMESPACE, "none") is None


def test_an_outage_is_waited_for(fake: Fake) -> None:
    fake.add_job(manifest(JOB))
    fake.faults = [("get", "trainjobs", status) for status in (500, 503, 429, 504)]
    found = api(fake).job(NAMESPACE, JOB.name)
    assert found is not None
    assert found["metadata"]["name"] == JOB.name
    assert fake.faults == []


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


def test_a_missing_runtime_names_the_remedy(fake: Fake) -> None:
    api(fake).check_runtime("omnidet-torch")
    with pytest.raises(ClusterError, match=r"Runtime other\b.*kubectl apply"):
        api(fake).check_runtime("other")


def test_a_name_that_is_taken(fake: Fake) -> None:
    api(fake).create_job(manifest(JOB))
    with pytest.raises(ClusterError, match="already exists") as caught:
        api(fake).create_job(manifest(JOB))
    assert caught.value.status == 409


def test_only_the_very_job_is_deleted(fake: Fake) -> None:
    old = fake.add_job(manifest(JOB))
    new = fake.add_job(manifest(JOB))
    api(fake).delete_job(old)
    assert fake.jobs[JOB.name]["metadata"]["uid"] == new["metadata"]["uid"]
    api(fake).delete_job(new)
    assert fake.jobs == {}
    api(fake).delete_job(new)  # gone already
    assert fake.deleted == [(JOB.name, "Background")]


def test_warnings_are_those_of_the_job(fake: Fake) -> None:
    names = ("omnidet-a", "omnidet-a-node-0-0-x", "omnidet-ab", "other")
    fake.events = [
        {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": name}}
        for name in names
    ]
    found = api(fake).warnings(NAMESPACE, "omnidet-a")
    assert [event["involvedObject"]["name"] for event in found] == list(names[:2])


def test_the_namespace_of_a_pod(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(cluster, "SERVICE_ACCOUNT", tmp_path)
    assert cluster.own_namespace() is None
    (tmp_path / "namespace").write_text("team\n")
    assert cluster.own_namespace() == "team"
