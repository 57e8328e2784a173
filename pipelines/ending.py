"""What became of a run: the steps that failed and why, or what the gate and the registry did.

Both stand in the steps' own logs, which the server hands out by the ids of Argo's nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from components.run import outcome
from components.run.outcome import Outcome
from pipelines import run_steps, step_log
from pipelines.run_steps import Step

GATES = ("gate", "gate-retrained")
REGISTERING = ("register", "register-retrained")
NOTICING = ("notice-new-data", "configure")
MOST_LOGS = 5
"""How many failed steps are asked for their reason: of a loop, all may fail for the same one."""

Log = Callable[[str], str | None]
"""Gives the log of a node; None if it is not to be had."""


@dataclass(frozen=True)
class Ended:
    """A run that has ended.

    Attributes:
        state: of the server.
        failed: why by step.
        outcome: of a run that succeeded; None if no log tells it.
        said: what the server itself says about the run.
    """

    run_id: str
    state: str
    steps: tuple[Step, ...]
    failed: dict[str, str]
    outcome: Outcome | None
    said: str = ""

    @property
    def why(self) -> str:
        """Why the run did not succeed, in one line."""
        parts = [f"{name} failed: {text}" for name, text in self.failed.items()]
        return "; ".join([*parts, *filter(None, [self.said])]) or (
            "the server gives no reason: see the run's page"
        )


def ended(run: Any, log: Log) -> Ended:
    """What became of a run that has ended."""
    steps = tuple(run_steps.steps(run))
    failed: dict[str, str] = {}
    told = None
    if run.state == "SUCCEEDED":
        told = _outcome(run, steps, log)
    elif run.state == "FAILED":
        failed = _failed(steps, log)
    error = getattr(run, "error", None)
    said = " ".join(error.message.split()) if error is not None and error.message else ""
    return Ended(run.run_id, run.state, steps, failed, told, said)


def _failed(steps: tuple[Step, ...], log: Log) -> dict[str, str]:
    failed = [step for step in steps if step.state == "FAILED"]
    reasons = {step.name: _reason(step, log) for step in failed[:MOST_LOGS]}
    if len(failed) > MOST_LOGS:
        more = ", ".join(step.name for step in failed[MOST_LOGS:])
        reasons[more] = "not asked why"
    if failed:
        return reasons
    # A server keeps no list of the last steps of a large run: ask those that had not ended.
    for step in steps:
        text = _from_logs(step, log) if step.state in ("RUNNING", "WAITING") else None
        if text is not None:
            reasons[step.name] = text
    return reasons


def _reason(step: Step, log: Log) -> str:
    what = "its driver: " if step.is_driver else ""
    text = _from_logs(step, log) or step.message
    if text:
        return what + text
    said = next((step_log.last_line(found) for node in step.nodes if (found := log(node))), "")
    stopped = "it was stopped, or its pod was lost, before it could say why"
    if said:
        return f"{what}{stopped}; the last line of its log: {said}"
    return f"{what}{stopped}, and it has no log"


def _from_logs(step: Step, log: Log) -> str | None:
    """The reason in the log of the newest try that gives one."""
    logs = (log(node) for node in step.nodes)
    return next((text for found in logs if found and (text := step_log.reason(found))), None)


def _outcome(run: Any, steps: tuple[Step, ...], log: Log) -> Outcome | None:
    """The last word of the steps that decide. That of `register` is asked for even if the server
    does not list it."""
    known = {step.name: step.nodes for step in steps}
    gate = None
    for name in (*REGISTERING, *GATES, *NOTICING):
        for node in known.get(name) or run_steps.hidden_nodes(run, name):
            told = outcome.find(log(node) or "")
            if told is not None and told.kind != "passed":
                return told
            gate = gate or told
    return gate
