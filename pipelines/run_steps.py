"""The steps of a run, out of what the server answers: a list of Argo's nodes.

    GetRun: x, x(0), executor, executor(0), x-driver, root, for-loop-1, ...  ->  Step(x, RUNNING)

For a step `x` there are `x` (its tries), `x(0)` (its graph), `executor` in that (the tries of the
pod), `executor(0)` (the pod) and `x-driver` before all of them. The list has no order and no
parents, and says of children only their ids. But Argo makes an id of the whole path of a node
(`NodeID` in its workflow/v1alpha1): hashing paths that could be finds the tree again.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EXECUTOR = "executor"
DRIVER = "-driver"
MOST_TRIES = 10
_BASIS, _PRIME = 0x811C9DC5, 0x01000193  # FNV-1a with 32 bits
_TRY = re.compile(r"\((\d+)\)$")
_WRAPPER = re.compile(
    r"root|executor|for-loop-\d+|iteration(-item|-iterations.*)?|condition(-branches)?-\d+|.*-driver"
)


@dataclass(frozen=True)
class Step:
    """One step of a run, as it stands.

    Attributes:
        name: as in the graph; one of a loop has its number, from 1.
        state: WAITING (its pod has not started), RUNNING, SUCCEEDED, CACHED, FAILED or SKIPPED.
        tries: how many pods it had.
        seconds: from its start to its end; None while it goes on, and if it came from the cache.
        nodes: whose logs to ask for, the best first.
        message: what the server says about a failure or about waiting; mostly nothing.
        is_driver: whether it is the driver before the step that failed or waits.
    """

    name: str
    state: str
    tries: int = 1
    seconds: float | None = None
    nodes: tuple[str, ...] = ()
    message: str = ""
    is_driver: bool = False


def steps(run: Any) -> list[Step]:
    """The steps that have begun, in the order of their beginning."""
    details = getattr(run, "run_details", None)
    tasks = [task for task in (details.task_details if details else None) or [] if _named(task)]
    workflow = _workflow(tasks)
    if workflow is None:
        found = [(task.start_time, _flat(task)) for task in tasks if _is_step(task.display_name)]
    else:
        found = list(_from_tree(tasks, workflow))
    never = datetime.datetime.max.replace(tzinfo=datetime.UTC)
    return [step for _, step in sorted(found, key=lambda pair: pair[0] or never)]


def _from_tree(tasks: Sequence[Any], workflow: str) -> Iterator[tuple[Any, Step]]:
    paths = _paths(tasks, workflow)
    owners = _owners(tasks)
    leaves = _Leaves(tasks)
    for path in paths:
        name = path.rpartition(".")[2]
        if not path.endswith(DRIVER) or not _is_step(name.removesuffix(DRIVER)):
            continue
        shown = _shown(path.removesuffix(DRIVER))
        step = path.removesuffix(DRIVER)
        task = _own(owners, paths, step, tasks)
        state = getattr(task, "state", None)
        if task is not None and state == "SKIPPED":
            continue  # the branch of a condition that was not taken
        if task is None or state is None:
            driver = _own(owners, paths, path, tasks)
            is_on = driver is not None and driver.state in ("RUNNING", "PENDING")
            pod = leaves.find(driver, f"{name}(0)") if is_on else None
            if driver is not None and driver.state in ("FAILED", "ERROR"):
                nodes = _tries(paths, path)
                said = _message(driver)
                yield driver.start_time, Step(shown, "FAILED", 1, None, nodes, said, is_driver=True)
            elif pod is not None and pod.state == "PENDING":
                said = _message(pod) or _message(driver)
                yield driver.start_time, Step(shown, "WAITING", message=said, is_driver=True)
            continue
        yield task.start_time, _of_task(task, shown, step, paths, owners, tasks, leaves)


def _of_task(
    task: Any, shown: str, step: str, paths: Mapping[str, str], owners: Mapping[str, list[Any]],
    tasks: Sequence[Any], leaves: _Leaves,
) -> Step:  # fmt: skip
    pods = f"{step}(0).{EXECUTOR}"
    nodes = _tries(paths, pods)
    executor = _own(owners, paths, pods, tasks)
    state = {"ERROR": "FAILED"}.get(task.state, task.state)
    if state == "SUCCEEDED" and not nodes:
        return Step(shown, "CACHED", 0)
    message = _message(task)
    if state in ("RUNNING", "PENDING"):
        last = leaves.find(executor, f"{EXECUTOR}({max(len(nodes) - 1, 0)})") if executor else None
        is_pending = last is not None and last.state == "PENDING"
        message = message or (_message(last) if last is not None else "")
        return Step(
            shown, "WAITING" if is_pending else "RUNNING", len(nodes) or 1, None, nodes, message
        )
    timed = executor if executor is not None else task
    return Step(shown, state, len(nodes) or 1, _seconds(timed), nodes, message)


class _Leaves:
    """Pods: they have no children, so that only name and time tell which step one belongs to."""

    def __init__(self, tasks: Sequence[Any]) -> None:
        self._tasks = tasks

    def find(self, parent: Any, name: str) -> Any:
        """The pod of this name that began with or after its parent, the nearest one."""
        found = [
            task
            for task in self._tasks
            if task.display_name == name and task.start_time and parent.start_time
            and task.start_time >= parent.start_time
        ]  # fmt: skip
        return min(found, key=lambda task: task.start_time, default=None)


def _paths(tasks: Sequence[Any], workflow: str) -> dict[str, str]:
    """All nodes that the answer tells of: id by path, parents before children."""
    ids = {child.pod_name for task in tasks for child in task.child_tasks or []}
    names = {task.display_name for task in tasks} - {workflow}
    below = {name for name in names if not re.search(r"\(\d+\)$", name)}
    found = {workflow: workflow}
    todo = [(workflow, _hash(workflow, _BASIS))]
    while todo:
        path, before = todo.pop()
        is_graph = _TRY.search(path) is not None
        leaf = path.rpartition(".")[2]
        if is_graph and (leaf.startswith(f"{EXECUTOR}(") or DRIVER in leaf):
            continue
        endings = [f".{name}" for name in below] if is_graph else []
        endings += [f"({number})" for number in range(MOST_TRIES)]
        for ending in endings:
            number = _hash(ending, before)
            identity = f"{workflow}-{number}"
            if identity in ids and path + ending not in found:
                found[path + ending] = identity
                todo.append((path + ending, number))
    return found


def _hash(text: str, before: int) -> int:
    for byte in text.encode():
        before = ((before ^ byte) * _PRIME) & 0xFFFFFFFF
    return before


def _workflow(tasks: Sequence[Any]) -> str | None:
    """Name of the Workflow: its ids are that name and a number."""
    for task in tasks:
        for child in task.child_tasks or []:
            if child.pod_name and re.search(r"-\d+$", child.pod_name):
                return str(child.pod_name.rpartition("-")[0])
    return None


def _owners(tasks: Sequence[Any]) -> dict[str, list[Any]]:
    """The entries that name a node as their child."""
    found: dict[str, list[Any]] = {}
    for task in tasks:
        for child in task.child_tasks or []:
            found.setdefault(child.pod_name, []).append(task)
    return found


def _own(
    owners: Mapping[str, list[Any]], paths: Mapping[str, str], path: str, tasks: Sequence[Any]
) -> Any:
    """The entry of the node at this path: the one of its name that has its first try as a child."""
    name = path.rpartition(".")[2]
    first = paths.get(f"{path}(0)")
    if first is not None:
        return next((task for task in owners.get(first, []) if task.display_name == name), None)
    same = [task for task in tasks if task.display_name == name]
    return same[0] if len(same) == 1 else None


def _tries(paths: Mapping[str, str], path: str) -> tuple[str, ...]:
    """Ids of the pods below a node, the newest first."""
    found = [paths[f"{path}({n})"] for n in range(MOST_TRIES) if f"{path}({n})" in paths]
    return tuple(reversed(found))


def _shown(path: str) -> str:
    """Name of a step, with the number of its turn if it is in a loop."""
    turns = re.findall(r"iteration-iterations\((\d+):[^)]*\)", path)
    return " ".join([path.rpartition(".")[2], *(str(int(turn) + 1) for turn in turns)])


def _flat(task: Any) -> Step:
    """A step of a server that lists steps, not nodes."""
    state = {"ERROR": "FAILED", "PENDING": "WAITING", None: "WAITING"}.get(task.state, task.state)
    nodes = tuple(c.pod_name for c in task.child_tasks or [] if c.pod_name)
    return Step(task.display_name, state, 1, _seconds(task), nodes, _message(task))


def _is_step(name: str) -> bool:
    return _TRY.search(name) is None and _WRAPPER.fullmatch(name) is None


def _named(task: Any) -> bool:
    return bool(getattr(task, "display_name", None))


def _seconds(task: Any) -> float | None:
    start, end = task.start_time, task.end_time
    if start is None or end is None or end.year < 1970:  # Go's zero time: it goes on
        return None
    return float((end - start).total_seconds())


def _message(task: Any) -> str:
    """What the server says about it: `error` of the task or of the last change of its state."""
    errors = [getattr(task, "error", None)]
    errors += [getattr(s, "error", None) for s in (getattr(task, "state_history", None) or [])[-1:]]
    return next((" ".join(e.message.split()) for e in errors if e is not None and e.message), "")


def hidden_nodes(run: Any, name: str) -> tuple[str, ...]:
    """Ids that the pod of a step below the root or a condition would have.

    Of a large run the server's list ends early: Argo stores the nodes compressed from some size on,
    and the persistence agent of KFP then sees no more of them.
    """
    details = getattr(run, "run_details", None)
    tasks = [task for task in (details.task_details if details else None) or [] if _named(task)]
    workflow = _workflow(tasks)
    if workflow is None:
        return ()
    paths = _paths(tasks, workflow)
    parents = {
        path.removesuffix(DRIVER)
        for path in paths
        if re.fullmatch(rf"(root|condition-\d+)({DRIVER})?", path.rpartition(".")[2])
    }
    return tuple(
        f"{workflow}-{_hash(f'{path}(0).{name}(0).{EXECUTOR}(0)', _BASIS)}"
        for path in sorted(parents)
    )
