from __future__ import annotations

import pytest

from omnidet import cli
from omnidet.onnx import OnnxDetector
from tests import full_disk, toys


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "model"
    toys.write_bundle(folder)
    return folder


@pytest.mark.slow
def test_words_of_a_file_are_folded_in_and_the_differences_said(model, tmp_path, capsys):
    words = tmp_path / "words.txt"
    words.write_text("red star\n\nstar left of circle\nred xylophone\n")
    out = tmp_path / "out"
    arguments = ["export", "--model", str(model), "--words", str(words), "--out", str(out)]
    assert cli.main(arguments) == 0
    said, hints = capsys.readouterr()
    assert "3 words" in said
    assert "'xylophone'" in hints
    assert "opset 20" in said
    assert "limit" in said
    assert said.splitlines()[-1] == str(out / "model.onnx")
    folded = ("red star", "star left of circle", "red xylophone")
    assert OnnxDetector.from_pretrained(out).facts.words == folded


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--words", "{t}/nowhere.txt"], "nowhere.txt"),
        (["--format", "torch", "--int8"], "--int8"),
        (["--model", "{t}/nobody"], "nobody"),
        (["--out", "{t}/full"], "full"),
        (["--out", "{m}/inside"], "inside"),
    ],
)
def test_wrong_arguments_end_before_anything_is_loaded(model, tmp_path, capsys, more, said):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept")
    given = [text.format(t=tmp_path, m=model) for text in more]
    arguments = ["export", "--model", str(model), "--out", str(tmp_path / "out"), *given]
    assert cli.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "full" / "mine.txt").read_text() == "kept"


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--int8",), ("--format", "torch")], ids=str)
def test_a_full_disk_is_one_line_and_leaves_nothing(model, tmp_path, capsys, more):
    """torch's own writer would end the process with a dump of its stack."""
    out = tmp_path / "out"
    with full_disk.room_for(10_000):
        assert cli.main(["export", "--model", str(model), "--out", str(out), *more]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"omnidet export: {out} cannot be written")
    assert list(tmp_path.iterdir()) == []


def test_names_and_thresholds_that_an_export_does_not_keep_are_said(model, tmp_path, capsys):
    (tmp_path / "words.yaml").write_text("bolt: {phrases: [red star], threshold: 0.6}\nring:\n")
    out = tmp_path / "out"
    words = ["--words", str(tmp_path / "words.yaml")]
    assert cli.main(["export", "--model", f"{model}-not", *words, "--out", str(out)]) == 2
    note, _ = capsys.readouterr().err.splitlines()
    assert note.startswith("note: ")
    assert "'bolt'" in note
    assert "more" not in note
