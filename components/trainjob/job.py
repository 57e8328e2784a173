"""Launch a Kubeflow TrainJob and watch it until its output is in the object store.

    create ──409──▶ adopt          Complete ──▶ verify the output ──▶ done
       ▲              │                │
       │              ▼                │
       ├────▶ poll, print node 0's log ┼── Failed, stuck, deadline ──▶ one readable error ─┐
       │                               ├── SIGTERM: the run ends ──────────────────────────┴▶ delete
       └──── a few times ◀── lost ─────┴── SIGTERM: this pod ends ──▶ left to the next one

The launcher may be killed without warning at any moment. Then the pod that replaces it adopts the
job, Kubernetes deletes it along with its run, or `components.trainjob.reaper` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from components.trainjob import launch, owner, pods, sigterm
from components.trainjob.cluster import Cluster
from components.trainjob.connection import ClusterError, Object
from components.trainjob.launch import JobError, condition
from components.trainjob.manifest import TrainJob
from components.trainjob.node_log import NodeLog
from components.trainjob.owner import Step
from components.trainjob.say import say
from components.trainjob.watch import PodWatch


class LostError(Exception):
    """The job is lost through no fault of its own: trained again, it goes on from its checkpoint.

    Attributes:
        report: what its pods said.
    """

    def __init__(self, why: str, report: str) -> None:
        super().__init__(why)
        self.report = report


@dataclass(frozen=True)
class Pace:
    """How often to look, and how long to wait.

    Attributes:
        poll_seconds: between two looks at the job after something changed; grows by half each time
            nothing does.
        slowest_poll_seconds: where that growth ends.
        hopeless_seconds: how long an image or a secret may be missing before the job is given up.
        deadline_grace_seconds: how long Trainer may take to stop a job after its deadline.
        resumes: how often a lost job is started again.
        resume_seconds: before the first time; doubles each time.
        ask_seconds: how long it is asked after SIGTERM what becomes of the run.
        delete_seconds: how long deleting is tried; both together less than the 30 seconds that
            Kubernetes leaves after SIGTERM.
    """

    poll_seconds: float = 5
    slowest_poll_seconds: float = 30
    hopeless_seconds: float = 300
    deadline_grace_seconds: float = 120
    resumes: int = 3
    resume_seconds: float = 30
    ask_seconds: float = 3
    delete_seconds: float = 15


def run(
    job: TrainJob, api: Cluster, verify_output: Callable[[], None], pace: Pace | None = None
) -> None:
    """Train: returns when the job is complete and its output was verified.

    Args:
        verify_output: raises OSError or ValueError unless the trained detector is where it belongs;
            ConnectionError if that cannot be known.

    Raises:
        JobError: the job failed, could not start, passed its deadline, or left no output.
        ClusterError: the API refused a call or was away for too long.
        ConnectionError: what `verify_output` raised.
        SystemExit: SIGTERM arrived.
            In all these cases the job has been deleted, unless the API or the object store was
            away, which says nothing about the job, or SIGTERM was meant for this pod and not for
            the run: a retry of the step finds it.
    """
    pace = pace or Pace()
    last = api.fresh()  # shares nothing with what SIGTERM may interrupt
    is_kept = False

    def stay() -> None:
        nonlocal is_kept
        api.close()
        why = owner.why_job_stays(last, step, pace.ask_seconds)
        is_kept = why is not None
        if why:
            say(f"stopped by SIGTERM, but {why}: TrainJob {job.full_name} stays and is adopted")

    step = owner.find(api, job.namespace)
    try:
        sigterm.guarded(lambda: _train(job, api, step, pace, verify_output), stay)
        is_kept = True
    except ClusterError as error:
        is_kept = error.is_outage
        raise
    except ConnectionError:
        is_kept = True
        raise
    finally:
        api.close()
        if not is_kept:
            launch.delete(job, last, pace.delete_seconds)


def _train(
    job: TrainJob, api: Cluster, step: Step | None, pace: Pace, verify_output: Callable[[], None]
) -> None:
    """Start the job, and again if it is lost, until it has left its output."""
    api.check_runtime(job.namespace, job.runtime)
    pause = pace.resume_seconds
    for number in range(1, pace.resumes + 2):
        launch.launch(job, api, step, pace.poll_seconds)
        try:
            with (
                PodWatch(api, job.namespace, job.name, pace.poll_seconds) as watch,
                NodeLog(api, job.namespace, job.name, pace.poll_seconds, write=say),
            ):
                _wait(job, api, pace, watch)
            break
        except LostError as lost:
            if number > pace.resumes:
                raise JobError(
                    f"TrainJob {job.full_name}: {lost}, and so were {pace.resumes} before it\n"
                    f"{lost.report}"
                ) from lost
            _require_run(api, step, job)
            say(
                f"TrainJob {job.full_name}: {lost}: starting it again from its last checkpoint in "
                f"{pause:g} s ({number} of {pace.resumes})"
            )
            api.wait(pause)
            pause *= 2
    _verify(job, verify_output)


def _require_run(api: Cluster, step: Step | None, job: TrainJob) -> None:
    """Raise JobError if the job was lost because its run is over."""
    workflow = owner.workflow_of([step.owner] if step and step.owner else [])
    try:
        ends = owner.why_run_ends(api, job.namespace, workflow) if workflow else None
    except ClusterError as error:
        if error.is_outage:
            raise
        return
    if ends:
        raise JobError(f"TrainJob {job.full_name} is lost, and its run {ends[0]}")


def _wait(job: TrainJob, api: Cluster, pace: Pace, watch: PodWatch) -> None:
    """Return when the job is complete; raise if it will not be."""
    pause = pace.poll_seconds
    said = ""
    active_since = time.monotonic()
    hopeless_since: float | None = None
    while True:
        found = api.job(job.namespace, job.name)
        if found is None:
            raise LostError("deleted by someone else while it ran", watch.report())
        state = _state(found)
        if state != said:
            say(f"TrainJob {job.name}: {state}")
            said, pause = state, pace.poll_seconds
        if condition(found, "Complete"):
            return
        failed = condition(found, "Failed")
        if failed:
            _fail(job, watch, state, may_be_lost=failed.get("reason") != "DeadlineExceeded")
        now = time.monotonic()
        if condition(found, "Suspended"):
            active_since = now
        if now - active_since > job.deadline_seconds + pace.deadline_grace_seconds:
            late = f"has not ended {job.deadline_seconds} s after its start"
            _fail(job, watch, f"{late}, and Trainer has not stopped it")
        present = api.pods(job.namespace, job.name)
        for pod in present:
            watch.take(pod)
        reason = pods.hopeless(present)
        if reason is None:
            hopeless_since = None
        else:
            hopeless_since = hopeless_since or now
            if now - hopeless_since >= pace.hopeless_seconds:
                _fail(job, watch, f"cannot start: {reason}")
        api.wait(pause)
        pause = min(1.5 * pause, pace.slowest_poll_seconds)


def _fail(job: TrainJob, watch: PodWatch, what: str, may_be_lost: bool = False) -> None:
    report = watch.report()
    lost = pods.why_lost(watch.seen()) if may_be_lost else None
    if lost:
        raise LostError(f"{what}; {lost}", report)
    raise JobError(f"TrainJob {job.full_name}: {what}\n{report}")


def _verify(job: TrainJob, verify_output: Callable[[], None]) -> None:
    try:
        verify_output()
    except ConnectionError:
        raise
    except (OSError, ValueError) as error:
        raise JobError(
            f"TrainJob {job.full_name} is complete, but its output is not: {error}"
        ) from error


def _state(found: Object) -> str:
    for kind in ("Failed", "Complete", "Suspended"):
        holds = condition(found, kind)
        if holds:
            return f"{kind} ({holds.get('reason')}: {holds.get('message')})"
    counts = [
        f"{job['name']} {job.get('ready', 0)} ready"
        for job in found.get("status", {}).get("jobsStatus") or []
    ]
    return ", ".join(counts) or "waiting for its pods"
