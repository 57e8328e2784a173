"""A finished training is the work of the code that trained it."""

from __future__ import annotations

import pytest

from omnidet.training import own_code


@pytest.fixture
def code(monkeypatch):
    """Pretends that the code is another one."""
    return lambda name: monkeypatch.setattr(own_code, "digest", lambda: name * 8)


def test_the_hash_is_that_of_the_code():
    assert len(own_code.digest()) == 64
    assert own_code.digest.__wrapped__() == own_code.digest()


def test_a_training_goes_on_with_changed_code_until_its_detector_is_written(tmp_path, code):
    run = str(tmp_path / "run")
    code("a")
    assert own_code.folder(run) == (run, ())
    own_code.note(run)
    code("b")
    place, (line,) = own_code.folder(run)
    assert place == run
    assert run in line
    own_code.note(run)
    assert own_code.folder(run) == (run, ())  # said once
    own_code.note(run, is_written=True)
    assert own_code.folder(run) == (run, ())  # and so does a training that is asked for again


def test_after_that_changed_code_trains_anew_and_each_finds_its_own(tmp_path, code):
    run = str(tmp_path / "run")
    code("a")
    own_code.note(run, is_written=True)
    code("b")
    own, (line,) = own_code.folder(run)
    assert own.startswith(f"{run}-")
    assert run in line
    own_code.note(own)
    assert own_code.folder(run) == (own, ())
    code("c")
    assert own_code.folder(run)[0] not in (run, own)
    code("a")
    own_code.note(run)
    assert own_code.folder(run) == (run, ())
