"""What a person sees of a run: TensorBoard events that can be read, and lines on the console."""

from __future__ import annotations

import dataclasses
import re
import struct
from pathlib import Path

import pytest
from tensorboardX.proto import event_pb2

from omnidet.training import progress
from tests import toy_runs, toys


def _events(folder: Path) -> list[event_pb2.Event]:
    """Every event of the files, oldest file first: length, checksum, message, checksum."""
    found = []
    for path in sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime_ns):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (size,) = struct.unpack_from("<Q", content, at)
            event = event_pb2.Event()
            event.ParseFromString(content[at + 12 : at + 12 + size])
            found.append(event)
            at += size + 16
    return found


def _scalars(folder: Path) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for event in _events(folder):
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def test_events_hold_what_the_log_holds_and_the_speed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("omnidet.progress.LOG_SECONDS", 3600.0)
    index = toys.write_shards(tmp_path / "shards")
    toy_runs.train(index, tmp_path / "run")
    scalars = _scalars(tmp_path / "run" / "events")
    rows = toy_runs.metrics_rows(tmp_path / "run")
    for name in (
        "loss",
        "gradient_norm",
        "learning_rate",
        "det/names",
        "grd/token_alignment",
        "img/caption",
    ):
        assert scalars[name] == pytest.approx({row["step"]: row[name] for row in rows}, rel=1e-5)
    assert all(value > 0 for value in scalars["speed/images_per_second"].values())
    assert all(0 <= value <= 1 for value in scalars["speed/data_wait_share"].values())
    estimate, *lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"about .* on this machine: \d+\.\d\d s a step, measured over 2 steps", estimate
    )
    assert (
        len(lines) == 2
    )  # the first interval and the last, without the control characters of a bar
    assert "step 12/12" in lines[1]
    for part in ("step 2/12", "rate 6.67e-04", " images/s", "data wait "):
        assert part in lines[0]
    assert re.search(r"loss \d+\.\d+  gradient \d+\.\d+ .* 0:\d\d:\d\d left$", lines[0])


def test_the_console_shows_every_interval_that_ends_half_a_minute_later(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("omnidet.progress.LOG_SECONDS", 0.0)
    toy_runs.train(toys.write_shards(tmp_path / "shards"), tmp_path / "run")
    shown = re.findall(r"^step (\d+)/12  loss", capsys.readouterr().err, re.MULTILINE)
    assert shown == ["2", "4", "6", "8", "10", "12"]


def test_after_a_resume_viewers_drop_what_comes_again(tmp_path):
    index = toys.write_shards(tmp_path / "shards")
    fail = toy_runs.at_call(
        toys.LOSSES[-1],
        9,
        lambda term: dataclasses.replace(term, total_S=term.total_S * float("nan")),
    )
    with pytest.raises(FloatingPointError):
        toy_runs.train(index, tmp_path / "run", (*toys.LOSSES[:-1], fail))
    toy_runs.train(index, tmp_path / "run")
    starts = [
        e.step
        for e in _events(tmp_path / "run" / "events")
        if e.session_log.status == event_pb2.SessionLog.START
    ]
    assert starts[-1] == 9  # the checkpoint is of step 8


def test_pictures_come_every_so_many_steps(tmp_path):
    index = toys.write_shards(tmp_path / "shards")
    toy_runs.train(
        index, tmp_path / "run", train=dataclasses.replace(toy_runs.TRAIN, pictures_every=6)
    )
    events = _events(tmp_path / "run" / "events")
    found = [
        (event.step, value.image)
        for event in events
        for value in event.summary.value
        if value.HasField("image")
    ]
    assert {step for step, _ in found} == {6, 12}
    assert all(
        image.encoded_image_string.startswith(b"\x89PNG") and image.width == 320
        for _, image in found
    )


@pytest.mark.parametrize(
    ("per_step", "steps", "said"),
    [
        (0.01, 10, "1 second"),
        (0.01, 1200, "12 seconds"),
        (0.4, 150, "a minute"),
        (0.4, 1390, "9 minutes"),
        (9, 1e4, "25.0 hours"),
    ],
)
def test_the_estimate_is_in_the_unit_that_a_person_plans_in(per_step, steps, said):
    assert progress._estimate(10, per_step, steps).startswith(f"about {said} on this machine")
