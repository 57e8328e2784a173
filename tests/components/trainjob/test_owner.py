"""Whose a TrainJob is, and what SIGTERM means for it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from components.trainjob import connection, owner
from components.trainjob.connection import ClusterError
from tests.components.trainjob.conftest import api, rules
from tests.components.trainjob.fake_kubernetes import Fake
from tests.components.trainjob.kubernetes_api import NAMESPACE

RUN = "omnidet-train-detector-dgdzb"
WORKFLOW = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "name": RUN,
    "uid": "uid-of-run",
}
EARLIER = "2026-01-01T00:00:00Z"


@pytest.fixture
def pod(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The pod of this step, in a run that goes on."""
    monkeypatch.setenv("KFP_POD_NAME", "step")
    monkeypatch.setenv("KFP_POD_UID", "1")
    return fake.add_run("step", "1")


def _forbid(fake: Fake, resource: str) -> None:
    """Leave out one resource, as the manifests of an earlier version do."""
    fake.rules = [rule for rule in rules("launcher-rbac.yaml") if resource not in rule["resources"]]


class TestFind:
    @pytest.mark.usefixtures("pod")
    def test_the_owner_is_the_run_and_not_the_pod(self, fake: Fake) -> None:
        step = owner.find(api(fake), NAMESPACE)
        assert step is not None
        assert step.metadata()["ownerReferences"] == [WORKFLOW]
        assert step.metadata()["annotations"] == {owner.WATCHER: "step/1"}

    def test_the_owner_is_what_controls_the_pod(self, fake: Fake, pod: dict[str, Any]) -> None:
        other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "2"}
        pod["metadata"]["ownerReferences"].insert(0, other)
        step = owner.find(api(fake), NAMESPACE)
        assert step is not None
        assert step.owner == WORKFLOW

    @pytest.mark.parametrize("why", ["forbidden", "no owner", "no pod"])
    def test_a_run_that_cannot_be_found_is_said(
        self, fake: Fake, pod: dict[str, Any], why: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        if why == "forbidden":
            _forbid(fake, "pods")
        elif why == "no owner":
            del pod["metadata"]["ownerReferences"]
        else:
            fake.remove_pod("step")
        step = owner.find(api(fake), NAMESPACE)
        assert step is not None
        own = {"apiVersion": "v1", "kind": "Pod", "name": "step", "uid": "1"}
        assert step.metadata()["ownerReferences"] == [own]
        said = {"forbidden": "403", "no owner": "belongs to no run", "no pod": "is not there"}
        assert said[why] in capsys.readouterr().out

    @pytest.mark.usefixtures("pod")
    def test_an_api_that_is_away_is_not_taken_for_a_missing_right(self, fake: Fake) -> None:
        fake.faults = [("get", "pods", 503)] * 1000
        with pytest.raises(ClusterError) as caught:
            owner.find(api(fake, patience_seconds=0.05), NAMESPACE)
        assert caught.value.is_outage

    def test_outside_of_a_pipeline_there_is_no_step(self, fake: Fake) -> None:
        assert owner.find(api(fake), NAMESPACE) is None

    @pytest.mark.usefixtures("pod")
    def test_an_owner_in_another_namespace_is_refused(
        self, fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "namespace").write_text("elsewhere")
        monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path)
        with pytest.raises(ValueError, match=r"namespace kubeflow, .* in elsewhere"):
            owner.find(api(fake), NAMESPACE)


def _ended(phase: str) -> dict[str, Any]:
    return {"status": {"phase": phase, "startedAt": EARLIER, "finishedAt": EARLIER}}


ENDINGS = {
    "terminated in the UI": {"spec": {"activeDeadlineSeconds": 0}},
    "shut down": {"spec": {"shutdown": "Terminate"}},
    "stopped": {"spec": {"shutdown": "Stop"}},
    "late": {
        "spec": {"activeDeadlineSeconds": 60},
        "status": {"phase": "Running", "startedAt": EARLIER},
    },
    "failed": _ended("Failed"),
    "succeeded": _ended("Succeeded"),
    "error": _ended("Error"),
    "deleted": {
        "metadata": {"name": RUN, "uid": "uid-of-run", "deletionTimestamp": EARLIER},
    },
    "made anew": {"metadata": {"name": RUN, "uid": "other"}},
}


class TestWhyRunEnds:
    @pytest.mark.parametrize("ending", ENDINGS)
    def test_a_run_that_is_over(self, fake: Fake, ending: str) -> None:
        fake.add_run("step", "1", **ENDINGS[ending])
        assert owner.why_run_ends(api(fake), NAMESPACE, WORKFLOW) is not None

    def test_it_says_since_when(self, fake: Fake) -> None:
        fake.add_run("step", "1", **_ended("Failed"))
        ends = owner.why_run_ends(api(fake), NAMESPACE, WORKFLOW)
        assert ends == ("has ended (Failed)", owner.time_of(EARLIER))

    def test_a_run_that_is_gone(self, fake: Fake) -> None:
        assert owner.why_run_ends(api(fake), NAMESPACE, WORKFLOW) == ("is gone", None)

    @pytest.mark.parametrize("spec", [{}, {"activeDeadlineSeconds": 600}])
    def test_a_run_that_goes_on(self, fake: Fake, spec: dict[str, Any]) -> None:
        fake.add_run("step", "1", spec=spec)
        assert owner.why_run_ends(api(fake), NAMESPACE, WORKFLOW) is None


class TestWhyJobStays:
    def _why(self, fake: Fake) -> str | None:
        step = owner.Step(NAMESPACE, "step", "1", WORKFLOW)
        return owner.why_job_stays(api(fake, patience_seconds=0.1), step, 0.1)

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_a_run_that_is_over_takes_its_job_along(self, fake: Fake, ending: str) -> None:
        pod = fake.add_run("step", "1", **ENDINGS[ending])
        assert self._why(fake) is None
        pod["metadata"]["deletionTimestamp"] = EARLIER  # deleting a run deletes its pods
        assert self._why(fake) is None

    @pytest.mark.parametrize("fate", ["deleted", "gone", "evicted", "replaced"])
    def test_a_pod_that_is_taken_away_leaves_it(self, fake: Fake, fate: str) -> None:
        pod = fake.add_run("step", "1")
        if fate == "deleted":
            pod["metadata"]["deletionTimestamp"] = EARLIER
        elif fate == "gone":
            fake.remove_pod("step")
        elif fate == "replaced":
            pod["metadata"]["uid"] = "2"
        assert self._why(fake)

    def test_a_step_that_ran_out_of_time_takes_it_along(self, fake: Fake) -> None:
        pod = fake.add_run("step", "1")
        pod["spec"]["activeDeadlineSeconds"] = 60
        now = datetime.datetime.now(datetime.UTC)
        pod["status"]["startTime"] = (now - datetime.timedelta(seconds=30)).isoformat()
        assert self._why(fake)
        pod["status"]["startTime"] = (now - datetime.timedelta(seconds=61)).isoformat()
        assert self._why(fake) is None

    def test_without_the_right_to_see_the_run_the_pod_decides(self, fake: Fake) -> None:
        pod = fake.add_run("step", "1")
        _forbid(fake, "workflows")
        assert self._why(fake) is None
        pod["metadata"]["deletionTimestamp"] = EARLIER
        assert self._why(fake)

    def test_an_api_that_is_away_leaves_it_to_the_next_pod(self, fake: Fake) -> None:
        fake.faults = [("get", "workflows", 503)] * 1000
        assert "503" in str(self._why(fake))

    def test_what_belongs_to_the_pod_ends_with_it(self, fake: Fake) -> None:
        pod = fake.add_run("step", "1")
        pod["metadata"]["deletionTimestamp"] = EARLIER
        alone = owner.Step(NAMESPACE, "step", "1", None)
        assert owner.why_job_stays(api(fake), alone, 1) is None
        assert owner.why_job_stays(api(fake), None, 1) is None
