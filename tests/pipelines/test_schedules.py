"""Recurring runs: made once, replaced when they differ, never lost in between."""

from __future__ import annotations

import dataclasses

import pytest
from kfp_server_api import ApiException

from pipelines import client, schedules
from tests.pipelines.fake_kfp import Fake

CRON = "0 0 3 * * 1"
UPLOADED = client.Uploaded("pipeline-0", "version-0")


def _schedule(fake: Fake, cron: str = CRON, **parameters: object) -> str:
    connection = client.Server(fake.host).connect()
    job = client.Job(UPLOADED, "omnidet", "weekly", parameters)
    return schedules.schedule(connection, None, schedules.Schedule(job, cron))[1]


def test_one_is_made(fake):
    assert _schedule(fake, train_steps=20) == "created"
    (made,) = fake.schedules
    assert made["trigger"]["cron_schedule"]["cron"] == CRON
    assert made["mode"] == "ENABLE"
    assert made["no_catchup"] is True
    assert made["max_concurrency"] == "1"
    assert made["runtime_config"]["parameters"] == {"train_steps": 20}


def test_the_same_again_changes_nothing(fake):
    _schedule(fake, train_steps=20)
    (first,) = fake.schedules
    assert _schedule(fake, train_steps=20) == "unchanged"
    assert fake.schedules == [first]
    assert fake.calls["POST /recurringruns"] == 1


def test_another_one_replaces_it(fake):
    _schedule(fake, train_steps=20)
    (first,) = fake.schedules
    assert _schedule(fake, train_steps=30) == "replaced"
    assert _schedule(fake, "0 30 3 * * 1", train_steps=30) == "replaced"
    (last,) = fake.schedules
    assert last["recurring_run_id"] != first["recurring_run_id"]
    last["mode"] = "DISABLE"
    assert _schedule(fake, "0 30 3 * * 1", train_steps=30) == "replaced"
    assert fake.schedules[0]["mode"] == "ENABLE"


def test_another_version_replaces_it(fake):
    _schedule(fake)
    job = client.Job(dataclasses.replace(UPLOADED, version_id="version-1"), "omnidet", "weekly", {})
    wanted = schedules.Schedule(job, CRON)
    connection = client.Server(fake.host).connect()
    assert schedules.schedule(connection, None, wanted)[1] == "replaced"
    (last,) = fake.schedules
    assert last["pipeline_version_reference"]["pipeline_version_id"] == "version-1"


def test_doubles_go(fake):
    _schedule(fake)
    fake.schedules.append({**fake.schedules[0], "recurring_run_id": "double"})
    assert _schedule(fake) == "replaced"
    assert len(fake.schedules) == 1


def test_a_replacement_that_fails_leaves_the_old_one(fake):
    _schedule(fake)
    fake.failures["POST /recurringruns"] = [500]
    with pytest.raises(ApiException, match="500"):
        _schedule(fake, train_steps=1)
    assert len(fake.schedules) == 1


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 3 * * 1", '"0 0 3 \\* \\* 1"'),
        ("daily", "'daily' has 1 fields"),
        ("0 0 25 * * 1", "hour 25"),
        ("0 0 3 0 * 1", "day 0"),
        ("61 0 3 * * 1", "second 61"),
    ],
)
def test_a_wrong_cron_is_refused(cron, words):
    with pytest.raises(ValueError, match=words):
        schedules.check(cron, 1)


def test_what_kfp_takes_is_let_through():
    schedules.check("0 */90 0-23/2 1,15 * 1-5", 10)
    for concurrency in (0, 11):
        with pytest.raises(ValueError, match=f"max-concurrency {concurrency}"):
            schedules.check(CRON, concurrency)
