"""The server over real sockets: limits, many at once, what goes wrong inside."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from omnidet.inference import overlaps
from omnidet.inference.detector import OmniDet
from omnidet.serving.config import Limits, Patience
from omnidet.serving.server import listening
from tests import toys
from tests.serving.running import PICTURE, ask, question, raw, serving, toy, until_closed

PICTURE_TEXT = base64.b64encode(PICTURE).decode()


@pytest.fixture(scope="module")
def detector() -> OmniDet:
    return toy()


@pytest.fixture(scope="module")
def port(detector) -> Iterator[int]:
    with serving(detector, limits=Limits(max_request_bytes=100_000)) as (_, own):
        yield own


def test_it_answers_as_the_detector_does(port, detector):
    (found,) = detector.detect([PICTURE], ["red star", "ring"], 5)
    status, answer = ask(port, "POST", "/detect", question("red star", "ring", max_detections=5))
    assert status == 200
    assert answer["model"] == {"name": "toy", "version": "3"}
    assert [d["phrase"] for d in answer["detections"]] == [
        ("red star", "ring")[p] for p in found.phrase
    ]
    assert [d["score"] for d in answer["detections"]] == pytest.approx(found.scores, abs=1e-6)
    assert [c for d in answer["detections"] for c in d["box"]] == pytest.approx(
        found.boxes_xyxy.flatten(), abs=0.005
    )
    inputs = [
        {
            "name": "image",
            "datatype": "BYTES",
            "shape": [1],
            "data": [base64.b64encode(PICTURE).decode()],
        },
        {"name": "phrases", "datatype": "BYTES", "shape": [2], "data": ["red star", "ring"]},
    ]
    content = {"inputs": inputs, "parameters": {"threshold": 0, "max_detections": 5}}
    for path in ("/v2/models/toy/infer", "/v2/models/toy/versions/3/infer"):
        status, answer = ask(port, "POST", path, content)
        assert status == 200
        assert {o["name"]: o["data"] for o in answer["outputs"]}["scores"] == pytest.approx(
            found.scores, abs=1e-6
        )


def test_without_phrases_it_looks_for_its_own_names(port, detector, monkeypatch):
    status, answer = ask(port, "POST", "/detect", {"image": PICTURE_TEXT})
    assert (status, "no names" in answer["error"]) == (400, True)
    monkeypatch.setitem(detector.config, "names", ("ring", "red star"))
    (found,) = detector.detect([PICTURE], None, 50)
    form = {"image": PICTURE_TEXT, "max_detections": 50, "threshold": 0}
    _, plain = ask(port, "POST", "/detect", form)
    image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [PICTURE_TEXT]}
    asked = {"inputs": [image], "parameters": {"threshold": 0, "max_detections": 50}}
    _, answer = ask(port, "POST", "/v2/models/toy/infer", asked)
    outputs = {o["name"]: o["data"] for o in answer["outputs"]}
    assert {d["phrase"] for d in plain["detections"]} == {"ring", "red star"}
    assert [d["phrase"] for d in plain["detections"]] == list(found.matched) == outputs["phrases"]
    assert [d["score"] for d in plain["detections"]] == pytest.approx(found.scores, abs=1e-6)
    assert outputs["scores"] == pytest.approx(found.scores, abs=1e-6)


def test_near_copies_are_left_out_where_that_is_asked_for(port, detector, monkeypatch):
    monkeypatch.setattr(overlaps, "SAME_THING", 0.1)  # boxes of a toy are no near-copies
    counts = {}
    for apart in (False, True):
        (found,) = detector.detect([PICTURE], "ring", 50, no_overlaps=apart)
        content = question("ring", max_detections=50, no_overlaps=apart)
        _, answer = ask(port, "POST", "/detect", content)
        assert [d["score"] for d in answer["detections"]] == pytest.approx(found.scores, abs=1e-6)
        counts[apart] = len(found)
    assert counts[True] < counts[False]


def test_a_picture_is_turned_as_its_exif_tag_says(port):
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.open(io.BytesIO(PICTURE)).convert("RGB").save(turned, "JPEG", exif=exif)
    _, answer = ask(port, "POST", "/detect", question("ring", image=turned.getvalue()))
    assert (answer["width"], answer["height"]) == (30, 90)


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        (
            "GET",
            "/v2/models/other",
            404,
            "no model 'other', version '3', here: this is 'toy', version 3",
        ),
        ("GET", "/v2/models/toy/versions/2", 404, "no model 'toy', version '2', here"),
        ("POST", "/v2/models/other/infer", 404, "no model 'other'"),
        ("POST", "/v2/models/toy/infer?threshold=0.9", 400, "into the body"),
        ("GET", "/detect", 405, "Method Not Allowed"),
        ("GET", "/nowhere", 404, "Not Found"),
    ],
)
def test_a_path_that_does_not_exist(port, method, path, status, reason):
    assert ask(port, method, path)[0] == status
    assert reason in ask(port, method, path)[1]["error"]


@pytest.mark.parametrize("image", [b"", b"no picture", PICTURE[:100]])
def test_an_image_that_cannot_be_read_is_refused(port, image):
    status, answer = ask(port, "POST", "/detect", question("ring", image=image))
    assert status == 400
    assert answer["error"].startswith("the image cannot be read as an image")


def test_a_request_that_is_too_large_is_not_read(port):
    started = time.monotonic()
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    ) as connection:
        connection.putrequest("POST", "/detect")
        connection.putheader("Content-Length", str(10**12))
        connection.endheaders()  # and no body ever
        assert connection.getresponse().status == 413
    assert time.monotonic() - started < 10
    status, answer = ask(
        port, "POST", "/detect", iter([b"x" * 60_000] * 2), **{"Content-Type": "image/png"}
    )  # no length given
    assert status == 413
    assert "larger than 100000 bytes" in answer["error"]
    assert ask(port, "POST", "/detect", question("ring"))[0] == 200


def test_many_at_once_get_what_each_would_get_alone(port):
    asked = [question(phrase) for phrase in ("red star", "ring", "blue circle", "green square")]
    alone = [ask(port, "POST", "/detect", one)[1] for one in asked]
    with ThreadPoolExecutor(8) as pool:
        together = list(
            pool.map(lambda number: ask(port, "POST", "/detect", asked[number % 4]), range(24))
        )
    for (status, answer), one in zip(together, alone * 6, strict=True):
        assert status == 200
        assert [d["phrase"] for d in answer["detections"]] == [
            d["phrase"] for d in one["detections"]
        ]
        scores = [d["score"] for d in one["detections"]]
        # Sums of a batch are rounded otherwise.
        assert [d["score"] for d in answer["detections"]] == pytest.approx(scores, abs=1e-5)


class _Slow:
    """A detector that waits for permission to answer."""

    def __init__(self, detector: OmniDet) -> None:
        self.whole, self.may, self.begun = detector, threading.Event(), threading.Event()
        self.prompt, self.detector = detector.prompt, detector.detector
        self.vocabulary = detector.vocabulary

    def regions(self, *arguments: Any) -> Any:
        self.begun.set()
        assert self.may.wait(30)
        return self.whole.regions(*arguments)


def test_one_request_too_many_is_asked_to_try_again(detector):
    slow: Any = _Slow(detector)
    with (
        serving(slow, concurrency=1, max_waiting=1) as (service, port),
        ThreadPoolExecutor(2) as pool,
    ):
        first = [pool.submit(ask, port, "POST", "/detect", question("ring")) for _ in range(2)]
        while service._under_way < 2:
            time.sleep(0.01)
        status, answer = ask(port, "POST", "/detect", question("ring"))
        assert status == 503
        assert "too many requests" in answer["error"]
        assert ask(port, "GET", "/v2/health/live")[0] == 200  # probes are answered all the while
        slow.may.set()
        assert [future.result()[0] for future in first] == [200, 200]
        assert ask(port, "POST", "/detect", question("ring"))[0] == 200


def test_another_version_takes_over_between_requests(detector):
    slow: Any = _Slow(detector)
    other = OmniDet(toys.toy_detector(seed=1), toys.toy_vocabulary(), {})
    with serving(slow) as (service, port), ThreadPoolExecutor(2) as pool:
        begun = pool.submit(ask, port, "POST", "/detect", question("ring"))
        assert slow.begun.wait(30)
        service.use(other, "4")
        later = pool.submit(ask, port, "POST", "/detect", question("ring"))
        slow.may.set()
        (_, before), (_, after) = begun.result(), later.result()
    assert (before["model"]["version"], after["model"]["version"]) == ("3", "4")
    assert before["detections"] != after["detections"]


def test_a_fault_of_the_server_reveals_nothing_about_it(detector):
    broken: Any = _Slow(detector)

    def fail(*_: Any) -> Any:
        raise RuntimeError("/secret/path\nand more")

    broken.regions = fail
    with serving(broken) as (_, port):
        status, answer = ask(port, "POST", "/detect", question("ring"))
        assert (status, answer["error"]) == (500, "the server failed (RuntimeError): see its log")
        assert ask(port, "GET", "/v2/health/ready")[0] == 200


@pytest.mark.parametrize("path", ["/detect", "/v2/models/toy/versions/3/infer"])
def test_the_version_that_was_asked_answers_though_another_is_promoted_meanwhile(detector, path):
    """The promotion comes between the header of a request and its body."""
    other = OmniDet(toys.toy_detector(seed=1), toys.toy_vocabulary(), {})
    content = question("ring")
    if path != "/detect":
        content = {
            "inputs": [
                {"name": "image", "datatype": "BYTES", "shape": [1], "data": [content["image"]]},
                {"name": "phrases", "datatype": "BYTES", "shape": [1], "data": ["ring"]},
            ]
        }
    body = json.dumps(content).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    ).encode()
    with serving(detector) as (service, port):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(head)
            assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")  # it waits for the body
            connection.sendall(body[:9])
            service.use(other, "4")
            connection.sendall(body[9:])
            answer = until_closed(connection)
        assert b'"version":"3"' in answer or b'"model_version":"3"' in answer
        assert ask(port, "GET", "/v2/models/toy/versions/3")[0] == 404


def test_lines_of_the_log_cannot_be_forged(port, caplog):
    with caplog.at_level("INFO", "omnidet.server"):
        ask(port, "GET", "/v2/models/a%0d%0a2026-01-01%20POST%20/detect%20200")
        ask(port, "GET", "/%e2%80%a8%1b[31m")
        raw(port, b"GET /a\x0bb HTTP/1.1\r\nHost: x\r\n\r\n")
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 3
    assert all(message.isascii() and message.isprintable() for message in messages)


def test_letters_that_mislead_are_told(port):
    _, answer = ask(port, "POST", "/detect", question("red st\u200bar", "r\u0435d star", "ring"))
    assert [("U+200B" in line, "U+0435" in line) for line in answer["warnings"][:2]] == [
        (True, False),
        (False, True),
    ]
    _, answer = ask(port, "POST", "/detect", question("ring", "звезда", "星"))
    assert not any("U+" in line for line in answer["warnings"])
    assert "warnings" not in ask(port, "POST", "/detect", question("ring", "red star"))[1]


def test_words_that_training_never_had_are_told(port):
    """As `OmniDet.detect` and `omnidet predict` tell them: without them the answer is the same."""
    _, answer = ask(port, "POST", "/detect", question("xylophone star", "ring"))
    (line,) = answer["warnings"]
    assert "'xylophone'" in line


def test_a_large_json_does_not_keep_others_waiting(detector):
    """Whatever it is made of: all clients share one interpreter."""
    with serving(detector) as (_, port), ThreadPoolExecutor(4) as pool:
        bombs = [
            b'{"a":[' + b"1," * 7_000_000 + b"1]}",
            b'{"a":[' + b'"",' * 5_000_000 + b'""]}',
            b'{"a":' + b"[" * 7_000_000,
            b'{"a":"' + b"\\u0041" * 2_400_000 + b'"}',
        ]
        headers = {"Content-Type": "application/json"}
        asked = [pool.submit(ask, port, "POST", "/detect", bomb, **headers) for bomb in bombs]
        slowest = 0.0
        while not all(one.done() for one in asked):
            started = time.monotonic()
            assert ask(port, "GET", "/v2/health/live")[0] == 200
            slowest = max(slowest, time.monotonic() - started)
        assert [one.result()[0] for one in asked] == [400] * 4
        assert slowest < 3.0  # parsing them takes longer


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("OPTIONS", 405), ("TRACE", 405)])
def test_other_methods(port, method, status):
    answer = raw(port, f"{method} /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert (answer.partition(b"\r\n\r\n")[2] == b"") == (method == "HEAD")


@pytest.mark.parametrize(
    "path", ["/../etc/passwd", "/v2/models/..%2f..%2fetc%2fpasswd", "//v2", "/v2/", "/%00", "/%ff"]
)
def test_paths_that_lead_nowhere(port, path):
    answer = raw(port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"passwd" not in answer or b"no model" in answer


def test_an_old_client(port):
    answer = raw(port, b"GET /v2/health/ready HTTP/1.0\r\n\r\n")
    assert answer.endswith(b'{"ready":true}')


def test_binary_tensors_over_http(port, detector):
    (found,) = detector.detect([PICTURE], ["ring"], 3)
    image = len(PICTURE).to_bytes(4, "little") + PICTURE
    phrases = b"\x04\0\0\0ring"
    sizes = {"image": len(image), "phrases": len(phrases)}
    inputs = [
        {
            "name": name,
            "datatype": "BYTES",
            "shape": [1],
            "parameters": {"binary_data_size": size},
        }
        for name, size in sizes.items()
    ]
    parameters = {"threshold": 0, "max_detections": 3, "binary_data_output": True}
    head = json.dumps({"inputs": inputs, "parameters": parameters}).encode()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request(
            "POST",
            "/v2/models/toy/infer",
            head + image + phrases,
            {
                "Content-Type": "application/octet-stream",
                "Inference-Header-Content-Length": str(len(head)),
            },
        )
        answer = connection.getresponse()
        body, length = answer.read(), int(answer.headers["Inference-Header-Content-Length"])
    assert answer.status == 200
    at, values = length, {}
    for output in json.loads(body[:length])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        values[output["name"]] = body[at : at + size]
        at += size
    scores = np.frombuffer(values["scores"], "<f4")
    assert scores == pytest.approx(found.scores, abs=1e-6)
    assert ask(port, "GET", "/v2")[1]["extensions"] == ["binary_tensor_data"]


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", None])
def test_tensors_in_json_are_read_whatever_the_client_calls_them(port, kind):
    inputs = [
        {"name": n, "datatype": "BYTES", "shape": [1], "data": [value]}
        for n, value in (("image", base64.b64encode(PICTURE).decode()), ("phrases", "ring"))
    ]
    assert _infer(port, json.dumps({"inputs": inputs}).encode(), kind)[0] == 200


def test_binary_tensors_without_the_length_of_their_header_are_refused(port):
    status, answer = _infer(port, b"{}\x04\0\0\0ring", "application/octet-stream")
    assert (status, "inference-header-content-length" in answer["error"].lower()) == (415, True)


def _infer(port: int, body: bytes, kind: str | None) -> tuple[int, dict[str, Any]]:
    headers = {} if kind is None else {"Content-Type": kind}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("POST", "/v2/models/toy/infer", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_answers_are_not_held_back_for_an_acknowledgement():
    with (
        listening("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.slow
def test_a_stop_with_a_slow_body_is_quick(detector):
    with serving(detector, patience=Patience(stop_body_seconds=1)) as (_, port):
        slow = socket.create_connection(("127.0.0.1", port), timeout=30)
        slow.sendall(b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n")
        slow.sendall(b"Content-Length: 1000\r\n\r\nx")
        time.sleep(0.3)
        stopped = time.monotonic()
    assert time.monotonic() - stopped < 8
    assert b" 408 " in until_closed(slow)
    slow.close()
