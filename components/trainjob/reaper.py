"""`python -m components.trainjob.reaper`: delete TrainJobs whose step is gone or has ended.

A step that is killed outright cannot delete its job. Kubernetes deletes the job along with its
owner, the run; but ended runs stay for a day or for good. So a CronJob runs this. Jobs without an
owner were made by hand and are left alone.
"""

from __future__ import annotations

import argparse
import datetime
import sys

from components.trainjob import connection, manifest, owner
from components.trainjob.cluster import Cluster
from components.trainjob.connection import ClusterError, Object

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
    parser.add_argument("--namespace", default=connection.own_namespace(), help=text)
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
    annotations = job["metadata"].get("annotations") or {}
    reason, since = orphaned(job, api)
    if reason is None:
        if owner.ORPHANED in annotations and not dry_run:
            api.change_metadata(job, {"annotations": {owner.ORPHANED: None}})
        return
    if since is None and owner.ORPHANED in annotations:
        since = owner.time_of(annotations[owner.ORPHANED])
    now = datetime.datetime.now(datetime.UTC)
    if since is None:  # what is gone does not say since when: the next look knows
        since = now
        if not dry_run:
            api.change_metadata(job, {"annotations": {owner.ORPHANED: now.isoformat()}})
    age = (now - since).total_seconds()
    if age < grace_seconds:
        print(f"{name}: {reason}; kept for another {grace_seconds - age:.0f} s")
        return
    print(f"{name}: {reason}; {'would be deleted' if dry_run else 'deleted'}")
    if not dry_run:
        api.delete_job(job)


def orphaned(job: Object, api: Cluster) -> tuple[str | None, datetime.datetime | None]:
    """Why nobody will need this job any more, and since when if that is known.

    The reason is None if someone watches it, or nobody ever did.
    """
    metadata = job["metadata"]
    owners = metadata.get("ownerReferences") or []
    workflow = owner.workflow_of(owners)
    if workflow:
        ends = owner.why_run_ends(api, metadata["namespace"], workflow)
        if ends:
            return f"its run {workflow['name']} {ends[0]}", ends[1]
    name, uid = _watcher(metadata, owners)
    if not name:
        return None, None
    pod = api.pod(metadata["namespace"], name)
    if pod is None or pod["metadata"]["uid"] != uid:
        return f"its step {name} is gone", None
    phase = pod["status"].get("phase")
    if phase not in ("Succeeded", "Failed"):
        return None, None
    ended = [
        owner.time_of(status["state"]["terminated"]["finishedAt"])
        for status in pod["status"].get("containerStatuses") or []
        if (status.get("state", {}).get("terminated") or {}).get("finishedAt")
    ]
    return f"its step {name} has ended ({phase})", max(ended, default=None)


def _watcher(metadata: Object, owners: list[Object]) -> tuple[str, str]:
    """Name and uid of the pod that watches a job; empty if there is none."""
    noted = (metadata.get("annotations") or {}).get(owner.WATCHER, "")
    pod = next((one for one in owners if one["kind"] == "Pod"), {"name": "", "uid": ""})
    name, _, uid = noted.partition("/")
    return (name, uid) if noted else (pod["name"], pod["uid"])


if __name__ == "__main__":
    sys.exit(main())
