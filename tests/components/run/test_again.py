"""A server that is away for a while does not end a step; one that says no does."""

from __future__ import annotations

import http.server
import threading

import pytest

from components.run import again, configuration, places, retrain, train_detector, training
from omnidet.registry import kubeflow


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(again, "PAUSES_SECONDS", (0.01, 0.02, 0.04))


def _away(times: int, error: type[Exception] = ConnectionError):
    """A step that fails so often."""
    tries = []

    def step(value: int, *, more: int) -> int:
        tries.append((value, more))
        if len(tries) <= times:
            raise error("s3://b/k: no object store answers at http://store:9000")
        return value + more

    return step, tries


def test_an_outage_is_outlasted_with_a_line_each(capsys):
    step, tries = _away(2)
    assert again.patiently(step)(1, more=2) == 3
    assert tries == [(1, 2)] * 3
    lines = capsys.readouterr().out.splitlines()
    assert ["0.01 s (1 of 3)" in lines[0], "0.02 s (2 of 3)" in lines[1]] == [True, True]
    assert all("http://store:9000" in line for line in lines)


def test_an_outage_that_lasts_is_an_error_of_one_line(capsys):
    step, tries = _away(100)
    with pytest.raises(ConnectionError, match=r"^s3://b/k: no object store .*\(tried 4 times\)$"):
        again.patiently(step)(1, more=2)
    assert len(tries) == 4
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError, ValueError, RuntimeError])
def test_what_is_refused_is_not_tried_again(error):
    step, tries = _away(100, error)
    with pytest.raises(error):
        again.patiently(step)(1, more=2)
    assert len(tries) == 1


def test_every_step_of_both_pipelines_is_patient():
    steps = [
        configuration.configure,
        *(getattr(train_detector, name) for name in (
            "download", "datasets", "plan_shards", "build_shard_sets", "build_vocabulary",
            "merge_shards", "evaluate", "gate", "register")),
        training.train,
        *(getattr(retrain, name) for name in (
            "notice", "gather", "train", "evaluate", "gate", "register")),
    ]  # fmt: skip
    patient = again.patiently(len).__code__
    assert [step for step in steps if step.__code__ is not patient] == []


class _Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"items": []}')

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_a_model_registry_that_starts_later_is_waited_for(tmp_path, monkeypatch):
    server = http.server.HTTPServer(("127.0.0.1", 0), _Registry, bind_and_activate=False)
    server.server_bind()  # the port is taken, and nobody listens
    monkeypatch.setenv("MODEL_REGISTRY_ADDRESS", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(kubeflow, "WAIT_SECONDS", 0.0)
    checks = []

    def check() -> None:
        checks.append(True)
        if len(checks) == 3:
            server.server_activate()
            threading.Thread(target=server.serve_forever, daemon=True).start()
        places.check_registry(str(tmp_path))

    again.patiently(check)()
    server.shutdown()
    server.server_close()
    assert len(checks) == 3
