"""The pipeline of `transformers` gives the task's own output, from a folder, without a network."""

from __future__ import annotations

import functools
import http.server
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from omnidet.inference.detector import OmniDet
from tests import toys

WORDS = ["red star", "blue ring"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transformers")
    toys.write_bundle(folder / "model", confidence=toys.CONFIDENCE)
    OmniDet.from_pretrained(folder / "model").save_pretrained(folder / "saved")
    (folder / "a.png").write_bytes(toys.png(90, 30, [(5, 5, 20, 20)]))
    (folder / "b.png").write_bytes(toys.png(40, 64, [(5, 5, 20, 20)]))
    clear = Image.open(folder / "b.png").convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(folder / "clear.png")
    return folder


PROGRAM = """
import base64, json, sys
from PIL import Image
from transformers import pipeline, AutoModelForZeroShotObjectDetection
words = ["red star", "blue ring"]
detector = pipeline("zero-shot-object-detection", "saved", trust_remote_code=True)
opened = Image.open("b.png")
said = {
    "path": detector("a.png", candidate_labels=words, threshold=0.2),
    "text": detector(opened, candidate_labels="red star, blue ring", threshold=0.2, top_k=2),
    "list": detector([opened, opened], candidate_labels=words, threshold=0.2, batch_size=2),
    "dicts": detector([{"image": "a.png", "candidate_labels": words}], threshold=0.2),
    "default": detector("a.png", candidate_labels=words),
    "clear": detector("clear.png", candidate_labels=words, threshold=0.2),
    "base64": detector(
        base64.b64encode(open("clear.png", "rb").read()).decode(),
        candidate_labels=words,
        threshold=0.2,
    ),
}
try:
    detector("nowhere.png", candidate_labels=words)
except ValueError as error:
    said["refused"] = str(error)
model = AutoModelForZeroShotObjectDetection.from_pretrained("saved", trust_remote_code=True)
said["auto"] = model([opened], words)[0].to_dict()
json.dump(said, sys.stdout)
"""


def test_the_task_s_own_output(place, tmp_path):
    own = {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(tmp_path / "modules")}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=place,
        env={**os.environ, **own, "PYTHONPATH": ":".join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    detector = OmniDet.from_pretrained(place / "model")
    a = detector.detect(str(place / "a.png"), WORDS, 1000)
    b = detector.detect(str(place / "b.png"), WORDS, 1000)
    kept = a.scores >= 0.2
    assert 0 < kept.sum() < (a.scores >= 0.1).sum() == len(said["default"])
    assert [entry["label"] for entry in said["path"]] == np.array(a.labels)[kept].tolist()
    for entry, box, score in zip(said["path"], a.boxes[kept], a.scores[kept], strict=True):
        assert list(entry["box"]) == ["xmin", "ymin", "xmax", "ymax"]
        assert list(entry["box"].values()) == [int(v) for v in box]
        assert entry["score"] == pytest.approx(float(score), abs=1e-6)
    assert len(said["text"]) == 2
    assert said["list"][0] == said["list"][1]
    assert said["list"][0][:2] == said["text"]
    assert said["dicts"] == [said["path"]]
    clear = detector.detect(str(place / "clear.png"), WORDS, 1000, 0.2)
    assert [entry["score"] for entry in said["clear"]] == pytest.approx(clear.scores, abs=1e-6)
    assert said["base64"] == said["clear"]
    assert "nowhere.png" in said["refused"]
    assert len(said["auto"]["detections"]) == min(100, len(b))


def test_labels_that_are_no_text_are_refused(place, tmp_path, monkeypatch):
    from omnidet.transformers import OmniDetForZeroShotObjectDetection, OmniDetPipeline

    model = OmniDetForZeroShotObjectDetection.from_pretrained(place / "saved")
    detector = OmniDetPipeline(model=model, task="zero-shot-object-detection")
    for labels in ([], [""], [7]):
        with pytest.raises(ValueError, match=r"phrase|candidate_labels"):
            detector(str(place / "a.png"), candidate_labels=labels)
    with pytest.raises(ValueError, match="nan"):
        detector(str(place / "a.png"), candidate_labels=WORDS, threshold=float("nan"))
    model.save_pretrained(tmp_path / "again")
    assert OmniDet.from_pretrained(tmp_path / "again").names == toys.NAMES


def test_an_address_is_fetched_and_a_lost_one_is_named(place):
    from omnidet import transformers

    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(place))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert transformers._picture(f"{address}/a.png", 5.0) == (place / "a.png").read_bytes()
        with pytest.raises(ValueError, match=r"lost\.png answered 404"):
            transformers._picture(f"{address}/lost.png", 5.0)
        server.shutdown()
