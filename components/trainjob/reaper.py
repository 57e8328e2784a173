"""`python -m components.trainjob.reaper`: delete TrainJobs whose step is gone or has ended.

A step that is killed outright cannot delete its job. Kubernetes deletes the job along with its
owner, the step's pod; but pods of ended steps stay as long as their pipeline run does. So a CronJob
runs this. Jobs without an owner were made by hand and are left alone.
"""

from __future__ import annotations

import argparse
import datetime
import sys

from components.trainjob import cluster, manifest
from components.trainjob.cluster import Cluster, ClusterError, Object

GRACE_SECONDS = 1800
"""A retry of the step adopts the job: it needs time to start."""


def main(arguments: list[str] | None = None, api: Cluster | None = None) -> int:
    """Reap once. The exit code is 1 if a job could not be examined or deleted."""
    options = _options(arguments)
    api = api or Cluster(patience_seconds=120)
    try:
        jobs = api.jobs(options.namespace, "=".join(manifest.PART_OF))
    except ClusterError as error:
        print(f"reaper: {error}", file=sys.stderr)
        return 1
    errors = 0
    for job in jobs:
        try:
            _reap(job, api, options.grace_seconds, options.dry_run)
        except ClusterError as error:
            errors += 1
            print(f"reaper: {error}", file=sys.stderr)
    return 1 if errors else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m components.trainjob.reaper",
        description="Delete TrainJobs that their step left behind.",
    )
    text = "default: that of this pod"
    parser.add_argument("--namespace", default=cluster.own_namespace(), help=text)
    text = "how long ago a step must have ended (default: %(default)s)"
    parser.add_argument("--grace-seconds", type=float, default=GRACE_SECONDS, help=text)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    options = parser.parse_args(arguments)
    if not options.namespace:
        parser.error("this process does not run in a pod: give --namespace")
    return options


def _reap(job: Object, api: Cluster, grace_seconds: float, dry_run: bool) -> None:
    name = f"{job['metadata']['namespace']}/{job['metadata']['name']}"
    if "deletionTimestamp" in job["metadata"]:
        return
    reason, since = orphaned(job, api)
    if reason is None:
        return
    age = (datetime.datetime.now(datetime.UTC) - since).total_seconds()
    if age < grace_seconds:
        print(f"{name}: {reason}; kept for another {grace_seconds - age:.0f} s")
        return
    print(f"{name}: {reason}; {'would be deleted' if dry_run else 'deleted'}")
    if not dry_run:
        api.delete_job(job)


def orphaned(job: Object, api: Cluster) -> tuple[str | None, datetime.datetime]:
    """Why nobody watches this job any more, and since when.

    The reason is None if someone does, or nobody ever did.
    """
    created = _time(job["metadata"]["creationTimestamp"])
    owner = next(
        (o for o in job["metadata"].get("ownerReferences") or [] if o["kind"] == "Pod"), None
    )
    if owner is None:
        return None, created
    pod = api.pod(job["metadata"]["namespace"], owner["name"])
    if pod is None or pod["metadata"]["uid"] != owner["uid"]:
        return f"its step {owner['name']} is gone", created
    phase = pod["status"].get("phase")
    if phase not in ("Succeeded", "Failed"):
        return None, created
    ended = [
        _time(status["state"]["terminated"]["finishedAt"])
        for status in pod["status"].get("containerStatuses") or []
        if (status.get("state", {}).get("terminated") or {}).get("finishedAt")
    ]
    return f"its step {owner['name']} has ended ({phase})", max(ended, default=created)


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


if __name__ == "__main__":
    sys.exit(main())
