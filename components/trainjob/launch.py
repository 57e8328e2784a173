"""A TrainJob of this run: created, adopted from an earlier try of the step, or deleted."""

from __future__ import annotations

import sys
import time

from components.trainjob import pods
from components.trainjob.cluster import Cluster
from components.trainjob.connection import ClusterError, Object
from components.trainjob.manifest import PART_OF, RUN_LABEL, SPEC_LABEL, TrainJob, manifest
from components.trainjob.owner import ORPHANED, Step
from components.trainjob.say import say


class JobError(RuntimeError):
    """The training job did not do its work; the message tells the whole story, in several lines."""


def launch(job: TrainJob, api: Cluster, step: Step | None, poll_seconds: float) -> None:
    """Create the job, or adopt the one that an earlier try of this step left running."""
    wanted = manifest(job, step)
    give_up_at = time.monotonic() + api.patience_seconds
    while time.monotonic() < give_up_at:
        if _is_ending(job, api):
            say(f"pods of an earlier TrainJob {job.full_name} are ending: waiting for them")
            api.wait(poll_seconds)
            continue
        try:
            api.create_job(wanted)
        except ClusterError as error:
            if error.status != 409:
                raise
        else:
            say(f"TrainJob {job.full_name} was created: {job.num_nodes} x {job.image}")
            return
        found = api.job(job.namespace, job.name)
        if found is None:
            continue
        _check_ours(found, wanted)
        is_being_deleted = "deletionTimestamp" in found["metadata"]
        if not is_being_deleted and not condition(found, "Failed"):
            if step:
                _adopt(found, step, api)
            say(f"TrainJob {job.full_name} is running: adopted from an earlier try of this step")
            return
        if not is_being_deleted:
            api.delete_job(found)
        say(
            f"an earlier TrainJob {job.full_name} failed or is being deleted: "
            "waiting until it is gone"
        )
        api.wait(poll_seconds)
    raise JobError(
        f"an earlier TrainJob {job.full_name} is not gone after {api.patience_seconds:.0f} s: "
        "delete it"
    )


def _adopt(found: Object, step: Step, api: Cluster) -> None:
    own = step.metadata()
    api.change_metadata(found, own | {"annotations": own["annotations"] | {ORPHANED: None}})


def _is_ending(job: TrainJob, api: Cluster) -> bool:
    """Whether pods of a deleted job are still there, which may write where the new one will.

    Those of a node that is gone stay until somebody removes the node, and are not waited for.
    """
    if api.job(job.namespace, job.name) is not None:
        return False
    return not all(pods.is_stuck(pod) for pod in api.pods(job.namespace, job.name))


def delete(job: TrainJob, api: Cluster, patience_seconds: float) -> None:
    """Delete the job if it is this run's. An error here must not hide why it is deleted."""
    try:
        found = api.job(job.namespace, job.name, patience_seconds)
        if found is None or _difference(found, manifest(job)) is not None:
            return
        api.delete_job(found, patience_seconds)
    except ClusterError as error:
        text = f"the job could not be deleted, the reaper will do it: {error}"
        say(text, sys.stderr)
    else:
        say(f"TrainJob {job.full_name} was deleted")


def _check_ours(found: Object, wanted: Object) -> None:
    name = f"{found['metadata']['namespace']}/{found['metadata']['name']}"
    differs = _difference(found, wanted)
    if differs == SPEC_LABEL:
        raise JobError(
            f"TrainJob {name} is this run's, but trains something else: "
            "give each training step of a run its own `step`"
        )
    if differs is not None:
        value = (found["metadata"].get("labels") or {}).get(differs)
        raise JobError(
            f"TrainJob {name} exists, but is not this run's: its label {differs} is {value!r}"
        )


def _difference(found: Object, wanted: Object) -> str | None:
    """The label by which a job is not the wanted one; None if it is."""
    labels, own = found["metadata"].get("labels") or {}, wanted["metadata"]["labels"]
    return next(
        (key for key in (PART_OF[0], RUN_LABEL, SPEC_LABEL) if labels.get(key) != own[key]), None
    )


def condition(found: Object, kind: str) -> Object | None:
    """The condition of that type, if it holds."""
    for condition in found.get("status", {}).get("conditions") or []:
        if condition["type"] == kind and condition["status"] == "True":
            return dict(condition)
    return None
