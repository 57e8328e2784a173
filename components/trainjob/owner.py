"""The run that a TrainJob belongs to, and the pod that watches it.

    Workflow (the run) ──owns──▶ pod of the step ──watches──▶ TrainJob ◀──owns── Workflow

So the job ends with its run, whatever ends that, and goes on training while the step's pod is
replaced.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass

from components.trainjob import connection
from components.trainjob.cluster import WORKFLOWS, Cluster
from components.trainjob.connection import ClusterError, Object
from components.trainjob.say import say

WATCHER = "omnidet.io/watched-by"
"""Annotation of a TrainJob: name and uid of the pod that watches it, with a slash between them."""
ORPHANED = "omnidet.io/orphaned-since"
"""Annotation of a TrainJob: when the reaper first found nobody that watches it."""
ENDED = ("Succeeded", "Failed", "Error")
"""Phases of a Workflow."""


@dataclass(frozen=True)
class Step:
    """The pod of this step.

    Attributes:
        owner: owner reference to what the pod itself belongs to; None if that is not known.
    """

    namespace: str
    name: str
    uid: str
    owner: Object | None

    def metadata(self) -> Object:
        """What the metadata of a TrainJob says of its owner and of who watches it."""
        pod = {"apiVersion": "v1", "kind": "Pod", "name": self.name, "uid": self.uid}
        return {
            "ownerReferences": [self.owner or pod],
            "annotations": {WATCHER: f"{self.name}/{self.uid}"},
        }


def find(api: Cluster, namespace: str) -> Step | None:
    """The pod of this step; None outside of a pipeline.

    Raises ValueError if the step runs in another namespace than its job would.
    """
    name, uid = os.environ.get("KFP_POD_NAME"), os.environ.get("KFP_POD_UID")
    if not name or not uid:
        return None
    inside = connection.own_namespace()
    if inside is not None and inside != namespace:
        raise ValueError(
            f"the job is for namespace {namespace}, this step runs in {inside}: Kubernetes would "
            "delete a job with an owner in another namespace at once; train in that of the run"
        )
    try:
        pod = api.pod(namespace, name)
    except ClusterError as error:
        if error.is_outage:
            raise
        problem = f"{error}: `kubectl apply -k` an overlay of this version's manifests/"
    else:
        owner = _owner(pod) if pod else None
        if owner:
            return Step(namespace, name, uid, owner)
        problem = f"pod {namespace}/{name} {'belongs to no run' if pod else 'is not there'}"
    say(f"{problem}; so the TrainJob belongs to this pod alone and ends with it")
    return Step(namespace, name, uid, None)


def _owner(pod: Object) -> Object | None:
    """Owner reference to what controls a pod, without the rights that only a controller has."""
    references = pod["metadata"].get("ownerReferences") or []
    found = next((one for one in references if one.get("controller")), next(iter(references), None))
    return {key: found[key] for key in ("apiVersion", "kind", "name", "uid")} if found else None


def workflow_of(owners: list[Object]) -> Object | None:
    """The reference to a run of Kubeflow Pipelines among owner references."""
    return next(
        (
            one
            for one in owners
            if one["kind"] == "Workflow" and one["apiVersion"].startswith(f"{WORKFLOWS}/")
        ),
        None,
    )


def why_run_ends(
    api: Cluster, namespace: str, owner: Object, patience_seconds: float | None = None
) -> tuple[str, datetime.datetime | None] | None:
    """Why the run is over or about to be, and since when if it says so; None if it goes on.

    Terminating a run of Kubeflow Pipelines sets its deadline to 0; Argo calls it a shutdown.

    Args:
        owner: reference to its Workflow.
    """
    found = api.workflow(namespace, owner["name"], patience_seconds)
    if found is None or found["metadata"]["uid"] != owner["uid"]:
        return "is gone", None
    if "deletionTimestamp" in found["metadata"]:
        return "is being deleted", time_of(found["metadata"]["deletionTimestamp"])
    spec, status = found.get("spec") or {}, found.get("status") or {}
    if status.get("phase") in ENDED:
        finished = status.get("finishedAt")
        return f"has ended ({status['phase']})", time_of(finished) if finished else None
    deadline, started = spec.get("activeDeadlineSeconds"), status.get("startedAt")
    if spec.get("shutdown") or deadline == 0:
        return "was terminated", None
    if deadline and started and _now() > time_of(started) + _seconds(deadline):
        return "has passed its deadline", time_of(started) + _seconds(deadline)
    return None


def why_job_stays(api: Cluster, step: Step | None, patience_seconds: float) -> str | None:
    """After SIGTERM: why the job should go on without this process; None if it should end.

    A run that was terminated takes its job along. A pod that was deleted, evicted or preempted, or
    whose node shuts down, is replaced by one that adopts the job.
    """
    if step is None or step.owner is None:
        return None
    try:
        goes_on = _goes_on(api, step, patience_seconds)
        pod = api.pod(step.namespace, step.name, patience_seconds) if goes_on is not False else None
    except ClusterError as error:
        return f"what became of the run is not known ({error})" if error.is_outage else None
    if goes_on is False:
        return None
    if pod is None or pod["metadata"]["uid"] != step.uid:
        return "this pod is gone"
    if "deletionTimestamp" in pod["metadata"]:
        return "this pod is being deleted"
    return "the run goes on" if goes_on and not _is_late(pod) else None


def _goes_on(api: Cluster, step: Step, patience_seconds: float) -> bool | None:
    """Whether the run goes on; None if that cannot be known."""
    workflow = workflow_of([step.owner] if step.owner else [])
    if workflow is None:
        return None
    try:
        return why_run_ends(api, step.namespace, workflow, patience_seconds) is None
    except ClusterError as error:
        if error.is_outage:
            raise
        return None


def _is_late(pod: Object) -> bool:
    """Whether the step had a time limit, and it is over: such a step is not tried again."""
    limit, started = pod["spec"].get("activeDeadlineSeconds"), pod["status"].get("startTime")
    return bool(limit and started) and _now() >= time_of(started) + _seconds(limit)


def time_of(text: str) -> datetime.datetime:
    """A time as Kubernetes writes it."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def _seconds(number: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=number)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
