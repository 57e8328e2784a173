"""Launch a Kubeflow TrainJob and watch it until its output is in the object store.

    create ──409──▶ adopt          Complete ──▶ verify the output ──▶ done
       │              │                │
       └────▶ poll, print node 0's log ┼── Failed, stuck, deadline ──▶ one readable error ─┐
                                       └── SIGTERM ────────────────────────────────────────┴▶ delete

The launcher may be killed without warning at any moment. Then a retry of the step adopts the job,
Kubernetes deletes it along with its owner, or `components.trainjob.reaper` does.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from components.trainjob import pods
from components.trainjob.cluster import Cluster, ClusterError, Object
from components.trainjob.manifest import PART_OF, RUN_LABEL, SPEC_LABEL, TrainJob, manifest
from components.trainjob.node_log import NodeLog

SIGTERM_EXIT_CODE = 128 + signal.SIGTERM


class JobError(RuntimeError):
    """The training job did not do its work; the message tells the whole story, in several lines."""


@dataclass(frozen=True)
class Pace:
    """How often to look, and how long to wait.

    Attributes:
        poll_seconds: between two looks at the job after something changed; grows by half each time
            nothing does.
        slowest_poll_seconds: where that growth ends.
        hopeless_seconds: how long an image or a secret may be missing before the job is given up.
        deadline_grace_seconds: how long Trainer may take to stop a job after its deadline.
        delete_seconds: how long deleting is tried; less than the 30 seconds that Kubernetes leaves
            after SIGTERM.
    """

    poll_seconds: float = 5
    slowest_poll_seconds: float = 30
    hopeless_seconds: float = 300
    deadline_grace_seconds: float = 120
    delete_seconds: float = 20


def run(
    job: TrainJob, api: Cluster, verify_output: Callable[[], None], pace: Pace | None = None
) -> None:
    """Train: returns when the job is complete and its output was verified.

    Args:
        verify_output: raises OSError or ValueError unless the trained detector is where it belongs.

    Raises:
        JobError: the job failed, could not start, passed its deadline, or left no output.
        ClusterError: the API refused a call or was away for too long.
        SystemExit: SIGTERM arrived.
            In all these cases the job has been deleted, unless the API was away: that says nothing
            about the job, and a retry of the step finds it running.
    """
    pace = pace or Pace()
    is_kept = False
    with _sigterm_as_exit():
        try:
            api.check_runtime(job.runtime)
            _launch(job, api, pace)
            with NodeLog(api, job.namespace, job.name, pace.poll_seconds, write=_say):
                _wait(job, api, pace)
            _verify(job, verify_output)
            is_kept = True
        except ClusterError as error:
            is_kept = error.is_outage
            raise
        finally:
            if not is_kept:
                _delete(job, api, pace)


def _launch(job: TrainJob, api: Cluster, pace: Pace) -> None:
    """Create the job, or adopt the one that an earlier try of this step left running."""
    wanted = manifest(job)
    give_up_at = time.monotonic() + api.patience_seconds
    while time.monotonic() < give_up_at:
        if _is_ending(job, api):
            _say(f"pods of an earlier TrainJob {job.full_name} are ending: waiting for them")
            time.sleep(pace.poll_seconds)
            continue
        try:
            api.create_job(wanted)
        except ClusterError as error:
            if error.status != 409:
                raise
        else:
            _say(f"TrainJob {job.full_name} was created: {job.num_nodes} x {job.image}")
            return
        found = api.job(job.namespace, job.name)
        if found is None:
            continue
        _check_ours(found, wanted)
        is_being_deleted = "deletionTimestamp" in found["metadata"]
        if not is_being_deleted and not _condition(found, "Failed"):
            # The old owner is the pod of the earlier try: the job must not vanish with it.
            api.set_owners(found, wanted["metadata"].get("ownerReferences", []))
            _say(f"TrainJob {job.full_name} is running: adopted from an earlier try of this step")
            return
        if not is_being_deleted:
            api.delete_job(found)
        _say(
            f"an earlier TrainJob {job.full_name} failed or is being deleted: "
            "waiting until it is gone"
        )
        time.sleep(pace.poll_seconds)
    raise JobError(
        f"an earlier TrainJob {job.full_name} is not gone after {api.patience_seconds:.0f} s: "
        "delete it"
    )


def _is_ending(job: TrainJob, api: Cluster) -> bool:
    """Whether pods of a deleted job are still there, which may write where the new one will."""
    is_gone = api.job(job.namespace, job.name) is None
    return is_gone and bool(api.pods(job.namespace, job.name))


def _wait(job: TrainJob, api: Cluster, pace: Pace) -> None:
    """Return when the job is complete; raise if it will not be."""
    pause = pace.poll_seconds
    said = ""
    active_since = time.monotonic()
    hopeless_since: float | None = None
    while True:
        found = api.job(job.namespace, job.name)
        if found is None:
            raise JobError(f"TrainJob {job.full_name} was deleted by someone else while it ran")
        state = _state(found)
        if state != said:
            _say(f"TrainJob {job.name}: {state}")
            said, pause = state, pace.poll_seconds
        if _condition(found, "Complete"):
            return
        if _condition(found, "Failed"):
            _fail(job, api, state)
        now = time.monotonic()
        if _condition(found, "Suspended"):
            active_since = now
        if now - active_since > job.deadline_seconds + pace.deadline_grace_seconds:
            late = f"has not ended {job.deadline_seconds} s after its start"
            _fail(job, api, f"{late}, and Trainer has not stopped it")
        reason = pods.hopeless(api.pods(job.namespace, job.name))
        if reason is None:
            hopeless_since = None
        else:
            hopeless_since = hopeless_since or now
            if now - hopeless_since >= pace.hopeless_seconds:
                _fail(job, api, f"cannot start: {reason}")
        time.sleep(pause)
        pause = min(1.5 * pause, pace.slowest_poll_seconds)


def _fail(job: TrainJob, api: Cluster, what: str) -> None:
    report = pods.failure_report(api, job.namespace, job.name)
    raise JobError(f"TrainJob {job.full_name}: {what}\n{report}")


def _verify(job: TrainJob, verify_output: Callable[[], None]) -> None:
    try:
        verify_output()
    except (OSError, ValueError) as error:
        raise JobError(
            f"TrainJob {job.full_name} is complete, but its output is not: {error}"
        ) from error


def _delete(job: TrainJob, api: Cluster, pace: Pace) -> None:
    """Delete the job if it is this run's. An error here must not hide why it is deleted."""
    with _sigterm_ignored():
        try:
            found = api.job(job.namespace, job.name, pace.delete_seconds)
            if found is None or _difference(found, manifest(job)) is not None:
                return
            api.delete_job(found, pace.delete_seconds)
        except ClusterError as error:
            text = f"the job could not be deleted, the reaper will do it: {error}"
            print(text, file=sys.stderr, flush=True)
        else:
            _say(f"TrainJob {job.full_name} was deleted")


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


def _condition(found: Object, kind: str) -> Object | None:
    """The condition of that type, if it holds."""
    for condition in found.get("status", {}).get("conditions") or []:
        if condition["type"] == kind and condition["status"] == "True":
            return dict(condition)
    return None


def _state(found: Object) -> str:
    for kind in ("Failed", "Complete", "Suspended"):
        condition = _condition(found, kind)
        if condition:
            return f"{kind} ({condition.get('reason')}: {condition.get('message')})"
    counts = [
        f"{job['name']} {job.get('ready', 0)} ready"
        for job in found.get("status", {}).get("jobsStatus") or []
    ]
    return ", ".join(counts) or "waiting for its pods"


def _say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so that `finally` is reached."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(SIGTERM_EXIT_CODE)

    with _sigterm(leave):
        yield


@contextmanager
def _sigterm_ignored() -> Iterator[None]:
    with _sigterm(signal.SIG_IGN):
        yield


@contextmanager
def _sigterm(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # others may not set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
