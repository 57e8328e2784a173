"""Why the pods of a TrainJob failed or do not start."""

from __future__ import annotations

import datetime
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.trainjob.connection import Object

STUCK = datetime.timedelta(seconds=60)
"""How long after the end of its grace a pod is still there because nobody on its node answers."""
LOG_LINES = 200
"""How many last lines of each failed pod the report has."""
TRY_LABEL = "jobset.sigs.k8s.io/restart-attempt"
KILLED = 137
"""Exit code after SIGKILL: of a node that did not wait, or for want of memory."""
RESTARTABLE = (75, 143)
"""Exit codes after SIGTERM, of `omnidet train` and of a process that does not handle it."""
DISRUPTIONS = frozenset(
    {
        "Evicted",
        "NodeAffinity",
        "NodeLost",
        "NodeShutdown",
        "Preempting",
        "Shutdown",
        "Terminated",
        "UnexpectedAdmissionError",
    }
)
"""Reasons of a pod's status by which a node gave it up."""
HOPELESS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImagePull",
        "ErrImageNeverPull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)
"""Why a container waits that waiting hardly helps: a wrong image name, a missing secret."""


@dataclass
class Seen:
    """A pod as it was last seen.

    Attributes:
        order: how many other pods had begun to end before it did; None until then.
        was_asked: whether it was asked to end before it did.
        is_gone: whether it was removed.
        lines: the last lines of its log.
        problem: why there are none.
        is_read: whether the log was read to its end.
        reader: the thread that reads it.
    """

    pod: Object
    order: int | None = None
    was_asked: bool = False
    is_gone: bool = False
    lines: deque[str] = field(default_factory=deque)
    problem: str = ""
    is_read: bool = False
    reader: threading.Thread | None = None


def hopeless(pods: list[Object]) -> str | None:
    """Why a pod cannot start, if it waits for something that will hardly come."""
    for pod in pods:
        for status in _containers(pod):
            waiting = status.get("state", {}).get("waiting") or {}
            if waiting.get("reason") in HOPELESS:
                message = waiting.get("message", "no message")
                return f"pod {pod['metadata']['name']}: {waiting['reason']}: {message}"
    return None


def is_running(pod: Object) -> bool:
    """Whether a container runs."""
    return any("running" in status.get("state", {}) for status in _containers(pod))


def has_ended(pod: Object) -> bool:
    """Whether its containers have ended, well or not."""
    return pod["status"].get("phase") in ("Succeeded", "Failed") or _exit_code(pod) is not None


def is_ending(pod: Object) -> bool:
    """Whether it has ended or was asked to."""
    return has_ended(pod) or "deletionTimestamp" in pod["metadata"]


def is_stuck(pod: Object) -> bool:
    """Whether it should have ended: its node does not answer, so only an administrator ends it."""
    ends = pod["metadata"].get("deletionTimestamp")  # which includes the grace
    if not ends:
        return False
    due = datetime.datetime.fromisoformat(ends)
    return datetime.datetime.now(datetime.UTC) > due + STUCK


def why_lost(seen: Sequence[Seen]) -> str | None:
    """Why the job's last try ended, if that says nothing against trying again.

    Such are a pod that someone deleted, or that was evicted or preempted, and a lost node. JobSet
    then ends the other pods, so the first one to end tells.
    """
    ending = [one for one in _last_try(seen) if one.order is not None]
    first = min(ending, key=lambda one: one.order or 0, default=None)
    if first is None:
        return None
    name, code = first.pod["metadata"]["name"], _exit_code(first.pod)
    disruption = _disruption(first.pod)
    if disruption:
        return f"pod {name}: {disruption}"
    if first.was_asked:
        return f"pod {name} was deleted"
    is_killed = code == KILLED and "OOMKilled" not in _pod_line(first.pod)
    if code in RESTARTABLE or is_killed:
        return f"pod {name} was stopped (exit code {code})"
    return None


def report(seen: Sequence[Seen], warnings: Sequence[Object]) -> str:
    """What a person needs to see first.

    Exit codes and reasons of all pods, warnings, and the last log lines of every pod that failed in
    the last try.
    """
    in_order = sorted(seen, key=lambda one: (one.order is None, one.order or 0))
    lines = ["there were no pods"]
    if seen:
        gone = {True: " (removed since)", False: ""}
        lines = ["pods, the first to end first:"]
        lines += [f"  {_pod_line(one.pod)}{gone[one.is_gone]}" for one in in_order]
    if warnings:
        lines.append("warnings:")
        lines += [
            f"  {event['involvedObject'].get('name')}: {event.get('reason')}: {_message(event)}"
            for event in warnings
        ]
    last = {id(one) for one in _last_try(seen)}
    for one in in_order:
        if id(one) in last and (one.is_gone or _has_failed(one.pod)):
            lines.append(f"last lines of {one.pod['metadata']['name']}:")
            read = list(one.lines) or [f"(no log: {one.problem or 'it is empty'})"]
            lines += [f"  {line}" for line in read]
    return "\n".join(lines)


def whole_lines(response: Any, keep_rest: bool) -> Iterator[str]:
    """The lines of a stream.

    Args:
        keep_rest: whether to yield what follows the last line end. It may be half a line, which a
            later connection gets in full.
    """
    rest = b""
    for chunk in response.stream(amt=None, decode_content=False):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
    if keep_rest and rest:
        yield rest.decode(errors="replace")


def _last_try(seen: Sequence[Seen]) -> list[Seen]:
    """The pods since JobSet last started all of them again."""

    def number(one: Seen) -> int:
        return int((one.pod["metadata"].get("labels") or {}).get(TRY_LABEL) or 0)

    newest = max(map(number, seen), default=0)
    return [one for one in seen if number(one) == newest]


def _disruption(pod: Object) -> str | None:
    """Why Kubernetes took the pod away, if it did."""
    status = pod["status"]
    for condition in status.get("conditions") or []:
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return ": ".join(filter(None, (condition.get("reason"), condition.get("message"))))
    return str(status["reason"]) if status.get("reason") in DISRUPTIONS else None


def _exit_code(pod: Object) -> int | None:
    """Of the container `node`, once it has ended."""
    for container in pod["status"].get("containerStatuses") or []:
        ended = container.get("state", {}).get("terminated")
        if ended and container["name"] == "node":
            return int(ended.get("exitCode") or 0)
    return None


def _pod_line(pod: Object) -> str:
    status = pod.get("status", {})
    said = [status.get("phase", "?")]
    said += [
        str(status[key]) for key in ("reason", "message") if status.get(key)
    ]  # such as Evicted
    disruption = _disruption(pod)
    said += [disruption] if disruption and disruption != status.get("reason") else []
    for container in _containers(pod):
        name = container["name"]
        for state, details in container.get("state", {}).items():
            reason = details.get("reason", "no reason")
            if state == "terminated":
                said.append(f"{name} exit code {details.get('exitCode')} ({reason})")
            elif state == "waiting":
                said.append(f"{name} waits: {reason}: {details.get('message', '')}")
    return f"{pod['metadata']['name']}: {', '.join(said)}"


def _has_failed(pod: Object) -> bool:
    ended = [container.get("state", {}).get("terminated") for container in _containers(pod)]
    return pod["status"].get("phase") == "Failed" or any(
        state and state.get("exitCode") for state in ended
    )


def _containers(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _message(event: Object) -> str:
    count = f" (x{event['count']})" if (event.get("count") or 1) > 1 else ""
    return " ".join(str(event.get("message", "")).split()) + count
