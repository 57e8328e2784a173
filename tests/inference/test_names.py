"""Names with phrases and thresholds, from Python and from files; what is wrong is named."""

from __future__ import annotations

import json

import pytest

from omnidet.inference import names
from omnidet.inference.names import Name


def test_a_phrase_is_its_own_name():
    assert names.wanted("red star") == (Name("red star", ("red star",)),)
    assert names.wanted(["a", "b"]) == (Name("a", ("a",)), Name("b", ("b",)))
    assert names.wanted({"dog": ["dog", "puppy"], "cat": "cat"}) == (
        Name("dog", ("dog", "puppy")),
        Name("cat", ("cat",)),
    )
    given = (Name("a", ("x",), 0.5),)
    assert names.wanted(given) == given
    assert names.wanted(["b", *given, *given]) == (Name("b", ("b",)), *given)


@pytest.mark.parametrize("given", [7, [""], {"": "dog"}, {3: "dog"}, {"dog": []}, b"dog", [None]])
def test_what_is_no_phrase_is_refused(given):
    with pytest.raises(ValueError, match=r"phrase|name"):
        names.wanted(given)


def test_a_name_with_two_meanings_is_refused():
    with pytest.raises(ValueError, match="'a' comes twice"):
        names.wanted(["a", Name("a", ("x",), 0.5)])


def test_a_text_file_has_a_phrase_a_line(tmp_path):
    (tmp_path / "p.txt").write_text("\ufeffred star\n# a comment\n\n  blue ring \n", "utf-8")
    assert [n.name for n in names.read(tmp_path / "p.txt")] == ["red star", "blue ring"]


YAML = """
dog: [dog, puppy]
cat:
no: {phrases: [no entry sign, "7"], threshold: 0.4}
bolt: lock washer
star: {threshold: 0}
"""


def test_yaml_has_phrases_and_thresholds_by_name(tmp_path):
    (tmp_path / "p.yaml").write_text(YAML)
    assert names.read(tmp_path / "p.yaml") == (
        Name("dog", ("dog", "puppy")),
        Name("cat", ("cat",)),
        Name("no", ("no entry sign", "7"), 0.4),
        Name("bolt", ("lock washer",)),
        Name("star", ("star",), 0.0),
    )
    (tmp_path / "p.json").write_text('["a", "b"]')
    assert [n.name for n in names.read(tmp_path / "p.json")] == ["a", "b"]
    (tmp_path / "p.json").write_text(json.dumps({"🐶": ["dog", "𠮷"]}))  # in escapes of 16 bits
    assert names.read(tmp_path / "p.json") == (Name("🐶", ("dog", "𠮷")),)


WRONG = {
    "p.yaml": {
        "dog: {threshold: nan}": "'dog'.*nan",
        "dog: {threshold: high}": "'dog'.*high",
        "dog: {threshold: 1.5}": "'dog'.*1.5",
        f"dog: {{threshold: 1{'0' * 400}}}": "'dog'.*1000",
        "dog: {treshold: 0.5}": "treshold",
        "dog: [a, {b: c}]": "'dog'",
        "dog: []": "'dog'",
        "dog: a\ndog: b": "'dog'",
        "[a": "p.yaml",
        "just text": "neither",
        "a: [x, ' ']": "'a'",
        "- a\n- a": "'a'",
        "": "p.yaml",
    },
    "p.txt": {"": "no phrase", "a\na": "'a'", "# nothing\n": "no phrase"},
}


@pytest.mark.parametrize(("file", "text"), [(f, t) for f, texts in WRONG.items() for t in texts])
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path, file, text):
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError, match=WRONG[file][text]) as raised:
        names.read(tmp_path / file)
    assert file in str(raised.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.txt"):
        names.read(tmp_path / "nowhere.txt")
    with pytest.raises(IsADirectoryError, match="--phrases-file"):
        names.read(tmp_path)
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(ValueError, match="UTF-8"):
        names.read(tmp_path / "latin.txt")
