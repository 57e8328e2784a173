"""The journal says what is done, whatever killed the run; other people's files are left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from omnidet import storage
from omnidet.predictions.inputs import SETTINGS
from omnidet.predictions.journal import LOCK, NAME, Journal, digest_of

LINE = {"image": "a.png", "file": "a", "width": 1, "height": 1, "detections": []}
LINE["source"] = {"path": "/p/a.png", "sha256": "0"}


def _journal(folder, **settings):
    return Journal(folder, {"threshold": 0.3, **settings}, "--save-dir")


def test_what_is_done_is_known_again(tmp_path):
    with _journal(tmp_path / "run") as journal:
        journal.add(LINE)
        other = {"path": "/p/b \udce9.png", "sha256": "1"}
        journal.add({**LINE, "image": "b \udce9.png", "file": "b", "source": other})
    with _journal(tmp_path / "run") as journal:
        assert journal.done == {"/p/a.png": "a", "/p/b \udce9.png": "b"}
        assert [line["image"] for line in journal.lines()] == ["a.png", "b \udce9.png"]
    text = (tmp_path / "run" / NAME).read_bytes().decode()  # any reader of JSON takes it
    assert json.loads(text.splitlines()[1])["image"] == "b \udce9.png"


@pytest.mark.parametrize("cut", [b'{"image": "b.p', b"x" * 200_000])
def test_half_a_line_is_taken_off(tmp_path, cut):
    with _journal(tmp_path) as journal:
        journal.add(LINE)
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole + cut)
    with _journal(tmp_path) as journal:
        assert list(journal.done) == ["/p/a.png"]
    assert (tmp_path / NAME).read_bytes() == whole
    (tmp_path / NAME).write_bytes(cut)
    with _journal(tmp_path) as journal:
        assert journal.done == {}


def test_a_line_that_somebody_changed_is_named(tmp_path):
    with _journal(tmp_path) as journal:
        journal.add(LINE)
    (tmp_path / NAME).write_text('{"image": "a.png"}\n')
    with pytest.raises(ValueError, match="line 1"), _journal(tmp_path):
        pass


def test_other_settings_may_follow_a_run_that_found_nothing_to_look_at(tmp_path):
    with _journal(tmp_path):
        pass
    with _journal(tmp_path, threshold=0.4):
        pass
    (tmp_path / "kept.csv").write_text("of somebody")
    with pytest.raises(ValueError, match=r"threshold 0\.4, not 0\.3"):
        _journal(tmp_path).check()


def test_other_settings_are_another_run(tmp_path):
    with _journal(tmp_path) as journal:
        journal.add(LINE)
    with pytest.raises(ValueError, match=r"threshold 0\.3, not 0\.4"):
        _journal(tmp_path, threshold=0.4).check()
    _journal(tmp_path, threshold=0.4).check(without=("threshold",))
    with pytest.raises(ValueError, match="colour"), _journal(tmp_path, colour="red"):
        pass


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match=f"--save-dir {tmp_path}"), _journal(tmp_path):
        pass
    with pytest.raises(ValueError, match=r"mine\.txt is a file"):
        _journal(tmp_path / "mine.txt").check()
    with pytest.raises(ValueError, match="s3:"):
        _journal("s3://bucket/run").check()
    assert [path.name for path in tmp_path.iterdir() if path.name != LOCK] == ["mine.txt"]


def test_two_processes_do_not_share_a_folder(tmp_path):
    program = (
        "import sys\nfrom pathlib import Path\nfrom omnidet.predictions.journal import Journal\n"
        "with Journal(Path(sys.argv[1]), {'threshold': 0.3}, '--save-dir'): pass"
    )
    with _journal(tmp_path):
        ran = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True
        )
    assert ran.returncode == 1
    assert f"ValueError: another run works in {tmp_path}" in ran.stderr


def test_a_run_that_begins_meanwhile_is_no_folder_of_other_files(tmp_path, monkeypatch):
    """The second of two that begin at once is told that the first is at work."""
    run, ask = tmp_path / "run", Path.is_file

    def late(path, **given):
        answer = ask(path, **given)
        if path.name == SETTINGS and not answer:
            storage.write_text(path, "{}")
        return answer

    monkeypatch.setattr(Path, "is_file", late)
    Journal(run, {}, "--save-dir").check()
    monkeypatch.undo()
    (tmp_path / "other" / "inner").mkdir(parents=True)
    (tmp_path / "other" / "inner" / "a.txt").touch()
    with pytest.raises(ValueError, match="holds other files"):
        Journal(tmp_path / "other", {}, "--save-dir").check()


def test_a_large_folder_of_others_is_refused_at_its_first_entry(tmp_path, monkeypatch):
    (tmp_path / "mine" / "empty").mkdir(parents=True)
    monkeypatch.setattr(os, "walk", lambda *_, **__: pytest.fail("it was walked through"))
    with pytest.raises(ValueError, match="holds other files"):
        Journal(tmp_path / "mine", {}, "--save-dir").check()
    Journal(tmp_path / "new", {}, "--save-dir").check()


def test_a_table_that_a_person_changed_is_kept(tmp_path):
    with _journal(tmp_path) as journal:
        journal.publish("t.csv", iter(["a\n"]))
        journal.publish("t.csv", iter(["a\n", "b\n"]))
        assert (tmp_path / "t.csv").read_text() == "a\nb\n"
        (tmp_path / "t.csv").write_text("corrected\n")
        with pytest.raises(ValueError, match=r"t\.csv was changed"):
            journal.require_ours(["t.csv"])
        with pytest.raises(ValueError, match=r"t\.csv was changed"):
            journal.publish("t.csv", iter(["c\n"]))
        assert (tmp_path / "t.csv").read_text() == "corrected\n"
        (tmp_path / "t.csv").unlink()
        journal.publish("t.csv", iter(["c\n"]))
    assert (tmp_path / "t.csv").read_text() == "c\n"


def test_a_table_that_fails_leaves_the_old_one(tmp_path):
    def failing():
        yield "half"
        raise OSError("disk full")

    with _journal(tmp_path) as journal:
        journal.publish("t.csv", iter(["a\n"]))
        with pytest.raises(OSError, match="disk full"):
            journal.publish("t.csv", failing())
        assert (tmp_path / "t.csv").read_text() == "a\n"


def test_a_digest_tells_questions_apart():
    assert digest_of(["a"]) == digest_of(["a"]) != digest_of(["b"])
    assert json.dumps(digest_of(["\udce9"]))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "out"
    with pytest.raises(OSError, match=rf"{place} cannot be written .*another place"):
        _journal(place).__enter__()
