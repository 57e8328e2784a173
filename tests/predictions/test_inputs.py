"""What a person names is found, once and in order; what names nothing is said."""

from __future__ import annotations

import io
import sys

import pytest

from omnidet.predictions import inputs
from tests import toys

PNG = toys.png(9, 9, [])


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        "p/b.jpg",
        "p/a.png",
        "p/sub/a.PNG",
        "p/.hidden/x.png",
        "p/film.mp4",
        "p/raw.heic",
        "p/notes.txt",
        "q/a.png",
        "q/odd[1].png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG)
    return tmp_path


def _names(*given):
    return [item.name for item in inputs.expand(given)[0]]


def test_a_folder_is_looked_through_in_order(place):
    items, notes = inputs.expand(["p"])
    assert [item.name for item in items] == ["p/a.png", "p/b.jpg", "p/sub/a.PNG"]
    assert [item.key for item in items] == ["a", "b", "sub/a"]
    assert len(notes) == 2
    assert any("1 videos" in note for note in notes)


def test_a_pattern(place):
    assert _names("p/*.png") == ["p/a.png"]
    assert _names("p/**/*.[pP][nN][gG]") == ["p/a.png", "p/sub/a.PNG"]
    items, notes = inputs.expand([str(place / "p" / "*")])
    assert [item.key for item in items] == ["a", "b", "film"]
    assert items[2].is_video
    assert "2 files" in notes[0]


def test_a_file_whose_name_is_a_pattern_is_that_file(place):
    assert _names("q/odd[1].png") == ["q/odd[1].png"]


def test_the_same_file_comes_once(place):
    assert _names("p/a.png", "./p/a.png", "p", "p/../p/b.jpg") == [
        "p/a.png",
        "p/b.jpg",
        "p/sub/a.PNG",
    ]


def test_a_list_is_read_from_its_own_folder(place):
    (place / "p" / "list.txt").write_text(
        "\ufeff# comment\n\nsub/a.PNG\n../q/a.png\nhttps://example.org/x/y.jpg?z\nmissing.png\n"
        "s3://bucket/k/o.png\n",
        "utf-8",
    )
    items, _ = inputs.expand(["p/list.txt"])
    assert [item.name for item in items] == [
        "p/sub/a.PNG",
        "p/../q/a.png",
        "https://example.org/x/y.jpg?z",
        "p/missing.png",
        "s3://bucket/k/o.png",
    ]
    assert [item.key for item in items] == ["sub/a", "q/a", "example.org/y", "missing", "o"]
    assert [item.is_web for item in items] == [False, False, True, False, False]


def test_results_are_no_input(place):
    for name in ("p/found/drawn/a.jpg", "p/out/a.jpg"):
        (place / name).parent.mkdir(parents=True)
        (place / name).write_bytes(PNG)
    (place / "p/found/.run.json").write_text("{}")
    (place / "p/broken.jpg").symlink_to("nowhere.jpg")
    for given in ("p", "p/**/*"):
        items, notes = inputs.expand([given])
        items, passed = inputs.outside(items, place / "p" / "out")
        keys = [item.key for item in items if not item.is_video]
        assert keys == ["a", "b", "sub/a"]
        assert any("p/found" in note for note in notes)
        assert any("out" in note for note in passed)
        assert inputs.outside(items, place / "q") == (items, [])
    assert any("broken.jpg" in note for note in inputs.expand(["p"])[1])
    assert _names("p/a.png", str(place / "p" / "a.png")) == ["p/a.png"]


def _stdin(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_standard_input_is_a_picture_or_names(place, monkeypatch):
    _stdin(monkeypatch, PNG)
    (item,) = inputs.expand(["-"])[0]
    assert (item.content, item.key) == (PNG, "stdin")
    _stdin(monkeypatch, b"p/a.png\nq/a.png\n")
    assert _names("-") == ["p/a.png", "q/a.png"]
    (place / "BMW.png").write_bytes(PNG)
    _stdin(monkeypatch, b"BMW.png\n")
    assert _names("-") == ["BMW.png"]
    _stdin(monkeypatch, b"p/a.png\0q/a.png\0")  # find -print0
    assert _names("-") == ["p/a.png", "q/a.png"]
    for content in (b"P2\n1 1\n255\n7\n", b"P6 1 1 255\nabc", b"P4\n# made\n1 1\n\x80"):
        _stdin(monkeypatch, content)
        assert inputs.expand(["-"])[0][0].content == content
    for content in (b"", b"\n# nothing\n", b"\xff\x00\xff"):
        _stdin(monkeypatch, content)
        with pytest.raises(ValueError, match="standard input"):
            inputs.expand(["-"])


def test_addresses_and_cameras(place):
    given = ["https://a.org/", "http://a.org/p/%2e%2e/ü x.jpg", "http://[::1/a.png", "camera:0"]
    items, _ = inputs.expand(given)
    keys = ["a.org/index", "a.org/ü x", "no-address", "camera0"]
    assert [item.key for item in items] == keys
    assert items[3].is_video


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("nowhere.png", "nowhere.png"),
        ("empty", "empty"),
        ("*.gif", r"\*\.gif"),
        ("", "empty name"),
        ("x.txt", "x.txt"),
        ("latin.txt", "latin.txt"),
        ("nothing.txt", "nothing.txt"),
    ],
)
def test_what_names_nothing_is_said(place, given, named):
    (place / "empty").mkdir()
    (place / "latin.txt").write_bytes(b"caf\xe9.png")
    (place / "nothing.txt").write_text("# none\n")
    with pytest.raises((ValueError, FileNotFoundError), match=named):
        inputs.expand([given])


def test_one_picture_is_shown_at_once(place, monkeypatch):
    def is_one(*given):
        return inputs.is_one_picture(given, inputs.expand(given)[0])

    (place / "q/one.txt").write_text("a.png\n")
    for one in ("p/a.png", "q/odd[1].png", "https://a.org/x.png"):
        assert is_one(one)
    for several in (["p"], ["p/sub"], ["p/a.png", "q/a.png"], ["p/*.png"], ["q/one.txt"]):
        assert not is_one(*several)
    for several in ("p/film.mp4", "camera:0"):
        assert not inputs.is_one_picture([several], [inputs.Item(several, "film", is_video=True)])
    _stdin(monkeypatch, PNG)
    assert is_one("-")
    _stdin(monkeypatch, PNG)
    items, _ = inputs.expand(["-"])
    assert inputs.outside(items, place) == (items, [])  # it is nowhere
    _stdin(monkeypatch, b"p/a.png\n")
    assert not is_one("-")


def test_folders_in_a_list_are_files_that_cannot_be_read(place, monkeypatch):
    """`find .` begins with the folder itself."""
    _stdin(monkeypatch, b".\n./p\n./p/a.png\n..\n/\n")
    items, _ = inputs.expand(["-"])
    assert [item.name for item in items] == [".", "./p", "./p/a.png", "..", "/"]
    assert [item.key for item in items] == ["folder", "p", "p/a", "folder", "folder"]


@pytest.mark.s3
def test_objects_of_a_store(s3):
    from omnidet import storage

    for name in ("f/b.png", "f/sub/a.jpg", "f/notes.txt"):
        storage.write_bytes(f"{s3.uri}/{name}", PNG)
    items, _ = inputs.expand([f"{s3.uri}/f"])
    assert [item.name for item in items] == [f"{s3.uri}/f/b.png", f"{s3.uri}/f/sub/a.jpg"]
    assert [item.key for item in items] == ["b", "sub/a"]
    assert _names(f"{s3.uri}/f/b.png") == [f"{s3.uri}/f/b.png"]
    assert inputs.is_one_picture([f"{s3.uri}/f/b.png"], inputs.expand([f"{s3.uri}/f/b.png"])[0])
    assert not inputs.is_one_picture([f"{s3.uri}/f"], items[:1])
    with pytest.raises(FileNotFoundError, match="nothing"):
        inputs.expand([f"{s3.uri}/nothing"])


def test_keys_are_short_enough_for_files(place):
    long = "ü" * 120
    (place / "p" / f"{long}.png").write_bytes(PNG)
    (item,) = inputs.expand([f"p/{long}.png"])[0]
    assert item.name == f"p/{long}.png"
    assert item.key == "ü" * 100


def test_folders_that_are_linked_in_a_circle(place):
    (place / "p" / "a_loop").symlink_to(place / "p")
    assert _names("p/**/*.png") == ["p/a.png"]
