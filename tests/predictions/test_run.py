"""Every picture is looked at once, in batches; a damaged one is named and the rest goes on."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from omnidet.inference.detector import OmniDet
from omnidet.predictions.inputs import Item, expand
from omnidet.predictions.run import Settings, line_of, predict
from tests import toys


@pytest.fixture(scope="module")
def detector() -> OmniDet:
    return OmniDet(toys.toy_detector(), toys.toy_vocabulary(), {})


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p").mkdir()
    for number in range(7):
        content = toys.png(40 + number, 30, [(5, 5, 20, 20)])
        # Some damage shows as the file is opened, some as its pixels are decoded.
        content = {2: b"no picture", 4: content[: len(content) // 2]}.get(number, content)
        (tmp_path / "p" / f"{number}.png").write_bytes(content)
    return tmp_path


def _predict(detector, items, done=lambda _: False, **settings):
    taken, said = [], []
    outcome = predict(
        detector,
        detector.prompt(["red star", "ring"]),
        items,
        Settings(0.0, 5, **settings),
        lambda item, line, found: taken.append((item, line, found)),
        said.append,
        done,
    )
    return outcome, taken, said


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_damage_is_named_and_the_rest_is_as_alone(detector, place, batch):
    items, _ = expand(["p"])
    outcome, taken, said = _predict(detector, items, batch=batch)
    assert [item.name for item, _, _ in taken] == [f"p/{n}.png" for n in (0, 1, 3, 5, 6)]
    assert outcome.pictures == 5
    assert outcome.detections == sum(len(found) for _, _, found in taken)
    assert outcome.failed == said
    assert [any(f"p/{n}.png" in reason for reason in said) for n in (2, 4)] == [True, True]
    for item, line, found in taken:
        alone = detector.detect(item.name, ["red star", "ring"], 5)
        assert found.labels == alone.labels
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=1e-3)
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-5)
        assert line["image"] == item.name
        assert line["width"] == alone.width


def test_what_is_done_is_not_looked_at(detector, place):
    items, _ = expand(["p"])
    _, taken, _ = _predict(
        detector, items, done=lambda item: item.name in ("p/0.png", "p/2.png", "p/4.png")
    )
    assert [item.name for item, _, _ in taken] == [f"p/{n}.png" for n in (1, 3, 5, 6)]


def test_an_error_in_what_is_done_with_a_picture_ends_the_run(detector, place):
    def full(*_):
        raise OSError("disk full")

    items, _ = expand(["p/0.png", "p/1.png"])
    with pytest.raises(OSError, match="disk full"):
        predict(detector, detector.prompt("ring"), items, Settings(0.0, 5), full, print)


def test_explanations_stand_in_the_line(detector, place):
    _, ((item, line, found),), _ = _predict(detector, expand(["p/0.png"])[0], explain=True)
    assert {token["word"] for entry in line["detections"] for token in entry["why"]} <= {
        "red",
        "star",
        "ring",
    }
    assert all(entry["unknown_words"] == [] for entry in line["detections"])
    assert "why" not in line_of(item, found, None)["detections"][0]


def test_frames_of_a_video_are_pictures(detector, tmp_path):
    av = pytest.importorskip("av")
    path = str(tmp_path / "film.mp4")
    with av.open(path, "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            pixels = np.full((48, 64, 3), 99, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode())
    items = [Item(path, "film", is_video=True), Item("nowhere.mp4", "n", is_video=True)]
    outcome, taken, said = _predict(
        detector, items, every=2, done=lambda item: item.name == f"{path}#000002"
    )
    assert [(item.name, item.key) for item, _, _ in taken] == [
        (f"{path}#000000", "film/000000"),
        (f"{path}#000004", "film/000004"),
    ]
    assert outcome.pictures == 2
    assert len(said) == 1
    assert "nowhere.mp4" in said[0]


def test_a_video_among_pictures_is_named_where_none_can_be_read(detector, place, monkeypatch):
    (place / "film.mp4").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "av", None)
    items, _ = expand(["film.mp4", "p/0.png"])
    outcome, taken, said = _predict(detector, items)
    assert [item.name for item, _, _ in taken] == ["p/0.png"]
    (line,) = outcome.failed
    assert said == [line]
    assert line.startswith("film.mp4: ")
    assert "pip install 'omnidet[video]'" in line
    with pytest.raises(ImportError, match="av"):
        expand(["film.mp4"])
