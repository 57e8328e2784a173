"""Calls of the Kubernetes API."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from components.trainjob.connection import ClusterError
from components.trainjob.manifest import manifest
from components.trainjob.pods import whole_lines
from tests.components.trainjob.conftest import JOB, api
from tests.components.trainjob.fake_kubernetes import Fake
from tests.components.trainjob.kubernetes_api import NAMESPACE, RUNTIME


def test_what_does_not_exist_is_none(fake: Fake) -> None:
    assert api(fake).job(NAMESPACE, "none") is None
    assert api(fake).pods(NAMESPACE, "none") == []
    fake.rules = None
    assert api(fake).pod(NAMESPACE, "none") is None


def test_a_missing_runtime_names_the_remedy(fake: Fake) -> None:
    api(fake).check_runtime(NAMESPACE, RUNTIME)
    with pytest.raises(ClusterError, match=rf"Runtime {NAMESPACE}/other\b.*kubectl apply"):
        api(fake).check_runtime(NAMESPACE, "other")


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


def test_metadata_is_merged_and_none_removes(fake: Fake) -> None:
    job = fake.add_job(manifest(JOB))
    api(fake).change_metadata(job, {"annotations": {"a": "1", "b": "2"}})
    api(fake).change_metadata(job, {"annotations": {"a": None}})
    assert fake.jobs[JOB.name]["metadata"]["annotations"] == {"b": "2"}
    with pytest.raises(ClusterError) as caught:
        api(fake).change_metadata(
            {"metadata": job["metadata"] | {"uid": "other"}}, {"annotations": {}}
        )
    assert caught.value.status == 409


def test_a_watch_begins_with_the_pods_that_are_there(fake: Fake) -> None:
    fake.add_job(manifest(JOB))
    fake.add_pod("first", JOB.name)
    fake.add_pod("of-another", "other")
    with closing(api(fake).watch_pods(NAMESPACE, JOB.name, 20)) as response:
        lines = whole_lines(response, keep_rest=False)
        event = json.loads(next(lines))
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "first")
        fake.remove_pod("first")
        assert json.loads(next(lines))["type"] == "DELETED"


def test_a_run_is_a_workflow(fake: Fake) -> None:
    fake.add_run("step", "1")
    found = api(fake).workflow(NAMESPACE, "omnidet-train-detector-dgdzb")
    assert found is not None
    assert found["status"]["phase"] == "Running"
    assert api(fake).workflow(NAMESPACE, "none") is None
