"""The writer: training does not wait, errors surface, and it waits for a store that is down."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import torch

from omnidet import s3_client
from omnidet.training import checkpoint
from omnidet.training.writer import Writer


def _taken(step: int) -> checkpoint.Snapshot:
    some = {"weight": torch.full((4,), float(step))}
    return checkpoint.Snapshot(
        step, dict.fromkeys(("model", "average", "optimizer", "random"), some)
    )


def test_it_returns_at_once_and_has_one_in_flight(tmp_path, monkeypatch):
    go, running = threading.Event(), []
    real = checkpoint.write

    def slow(folder, taken, *rest):
        running.append(taken.step)
        assert go.wait(20)
        return real(folder, taken, *rest)

    monkeypatch.setattr(checkpoint, "write", slow)
    with Writer(tmp_path) as writer:
        began = time.monotonic()
        writer.save(_taken(1))
        assert time.monotonic() - began < 10
        assert checkpoint.latest(tmp_path) is None
        second = threading.Thread(target=writer.save, args=(_taken(2),))
        second.start()
        second.join(0.3)
        assert second.is_alive()  # it waits for the first
        assert running == [1]
        go.set()
        second.join(20)
    # Leaving the block waited for the last one.
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["00000001", "00000002"]


def test_an_error_surfaces_while_training_goes_on(tmp_path):
    (tmp_path / "file").write_text("no folder")
    writer = Writer(tmp_path / "file")
    writer.save(_taken(1))
    writer._thread.join()
    with pytest.raises(OSError, match=r"checkpoint .*file/00000001 cannot be written"):
        writer.check()


def test_an_error_in_the_last_one_surfaces(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="cannot be written"), Writer(tmp_path / "file") as writer:
        writer.save(_taken(1))


@pytest.mark.s3
def test_a_store_that_is_down_is_waited_for(s3, monkeypatch, capfd):
    """The server is stopped while the checkpoint is to be written, and started again later."""
    monkeypatch.setattr(s3_client, "WAIT_SECONDS", 0.05)
    s3_client.forget()
    folder = f"{s3.uri}/checkpoints"
    with Writer(folder, patience_seconds=120, pause_seconds=0.3) as writer:
        writer.save(_taken(1))
        writer.wait()
        s3.store.stop()
        try:
            writer.save(_taken(2))
            said, give_up_at = "", time.monotonic() + 100
            while "checkpoint of step 2 waits" not in said:
                assert time.monotonic() < give_up_at, said
                time.sleep(0.05)
                said += capfd.readouterr().err
            writer.check()  # no error: it tries again
            assert writer._thread.is_alive()
        finally:
            s3.store.start()
    assert Path(checkpoint.latest(folder)).name == "00000002"
    assert "no object store answers" in said


@pytest.mark.s3
def test_a_store_that_stays_down_is_an_error_in_the_end(s3, monkeypatch):
    monkeypatch.setattr(s3_client, "WAIT_SECONDS", 0.05)
    s3_client.forget()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    writer = Writer(f"{s3.uri}/checkpoints", patience_seconds=0.5, pause_seconds=0.1)
    writer.save(_taken(1))
    with pytest.raises(ConnectionError, match="no object store answers"):
        writer.wait()
