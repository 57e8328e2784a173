"""Recurring runs on a Kubeflow Pipelines server.

KFP cannot update one, so one that differs is replaced.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pipelines import client as kfp_client

CRON_FIELDS = (
    ("second", 0, 59),
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 6),
)


@dataclass(frozen=True)
class Schedule:
    """A recurring run as it is asked for; `check` says what KFP takes."""

    job: kfp_client.Job
    cron: str
    max_concurrency: int = 1

    def __post_init__(self) -> None:
        check(self.cron, self.max_concurrency)


def schedule(client: Any, namespace: str | None, wanted: Schedule) -> tuple[str, str]:
    """Make the recurring run of that name what is wanted.

    The new one is made before the old one is deleted: a failure in between leaves a schedule.

    Returns its id, and `unchanged`, `created` or `replaced`.
    """
    job = wanted.job
    experiment = client.create_experiment(job.experiment, namespace=namespace).experiment_id
    facts = {
        "cron": wanted.cron,
        "pipeline": job.pipeline,
        "experiment": experiment,
        "parameters": dict(job.parameters),
        "max_concurrency": str(wanted.max_concurrency),
        "no_catchup": True,
        "mode": "ENABLE",
    }
    found = [
        run for run in _recurring_runs(client, namespace, job.name) if run.display_name == job.name
    ]
    equal = [run for run in found if _facts(run) == facts]
    if equal:
        kept, what = str(equal[0].recurring_run_id), "unchanged"
    else:
        made = client.create_recurring_run(
            experiment,
            job.name,
            cron_expression=wanted.cron,
            max_concurrency=wanted.max_concurrency,
            no_catchup=True,
            params=dict(job.parameters),
            pipeline_id=job.pipeline.pipeline_id,
            version_id=job.pipeline.version_id,
            enabled=True,
        )
        kept, what = str(made.recurring_run_id), "replaced" if found else "created"
    for run in found:
        if run.recurring_run_id != kept:
            client.delete_recurring_run(run.recurring_run_id)
            what = "replaced" if what == "unchanged" else what
    return kept, what


def check(cron: str, max_concurrency: int) -> None:
    """Raise ValueError for what KFP does not take.

    Args:
        cron: six fields, seconds first.
        max_concurrency: how many runs of the schedule may go on at the same time.
    """
    if not 1 <= max_concurrency <= 10:
        raise ValueError(f"--max-concurrency {max_concurrency}: KFP takes 1 to 10")
    fields = cron.split()
    if len(fields) == 5:
        raise ValueError(f'cron {cron!r} has 5 fields: KFP wants seconds first, like "0 {cron}"')
    if len(fields) != 6:
        raise ValueError(
            f"cron {cron!r} has {len(fields)} fields: "
            'KFP wants 6, seconds first, like "0 0 3 * * *"'
        )
    for field, (name, least, most) in zip(fields, CRON_FIELDS, strict=True):
        for number in re.findall(r"(?<![/\d])\d+", field):  # not the step of */90
            if not least <= int(number) <= most:
                raise ValueError(f"cron {cron!r}: {name} {number} is not from {least} to {most}")


def _facts(run: Any) -> dict[str, Any]:
    """What a recurring run on the server says, in the form that `schedule` compares."""
    version, trigger = run.pipeline_version_reference, run.trigger
    cron = trigger.cron_schedule if trigger else None
    pipeline = (
        kfp_client.Uploaded(version.pipeline_id, version.pipeline_version_id) if version else None
    )
    return {
        "cron": cron.cron if cron else None,
        "pipeline": pipeline,
        "experiment": run.experiment_id,
        "parameters": (run.runtime_config.parameters if run.runtime_config else None) or {},
        "max_concurrency": str(run.max_concurrency),
        "no_catchup": run.no_catchup,
        "mode": run.mode,
    }


def _recurring_runs(client: Any, namespace: str | None, name: str) -> list[Any]:
    found: list[Any] = []
    token = ""
    while True:
        page = client.list_recurring_runs(
            page_token=token, page_size=100, namespace=namespace, filter=kfp_client.named(name)
        )
        found += page.recurring_runs or []
        token = page.next_page_token
        if not token:
            return found
