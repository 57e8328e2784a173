"""The server over real sockets: limits, many at once, what goes wrong inside."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import uvicorn
from PIL import Image

from omnidet.inference.detector import OmniDet
from omnidet.serving import server
from omnidet.serving.config import Limits, ServerConfig
from omnidet.serving.service import Service
from tests import toys

PICTURE = toys.png(90, 30, [(5, 5, 20, 20)])


@pytest.fixture(scope="module")
def detector() -> OmniDet:
    return OmniDet(toys.toy_detector(), toys.toy_vocabulary(), {})


@contextlib.contextmanager
def serving(detector: OmniDet, **config: Any) -> Iterator[tuple[Service, int]]:
    service = Service(detector, "toy", "3", ServerConfig(port=0, **config))
    running = uvicorn.Server(
        uvicorn.Config(
            server.application(service),
            port=0,
            log_level="critical",
            lifespan="off",
            access_log=False,
        )
    )
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        while not running.started:
            time.sleep(0.01)
        yield service, running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.should_exit = True
        thread.join()


def ask(
    port: int, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    ) as connection:
        if isinstance(body, dict):
            body, headers = (
                json.dumps(body).encode(),
                {"Content-Type": "application/json", **headers},
            )
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        if answer.status >= 400:
            assert set(content) == {"error"}
            assert "\n" not in content["error"]
        return answer.status, content


def question(*phrases: str, image: bytes = PICTURE, **more: Any) -> dict[str, Any]:
    return {
        "image": base64.b64encode(image).decode(),
        "phrases": list(phrases),
        "threshold": 0,
        **more,
    }


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
            "no model 'other', version 3, here: this is 'toy', version 3",
        ),
        ("GET", "/v2/models/toy/versions/2", 404, "no model 'toy', version 2, here"),
        ("POST", "/v2/models/other/infer", 404, "no model 'other'"),
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
    assert [answer for _, answer in together] == alone * 6


class _Slow:
    """A detector that waits for permission to answer."""

    def __init__(self, detector: OmniDet) -> None:
        self.detector, self.may, self.prompt = detector, threading.Event(), detector.prompt

    def detect(self, *arguments: Any) -> Any:
        assert self.may.wait(30)
        return self.detector.detect(*arguments)


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
    with serving(slow) as (service, port), ThreadPoolExecutor(1) as pool:
        begun = pool.submit(ask, port, "POST", "/detect", question("ring"))
        while service._under_way < 1 or service._threads.borrowed_tokens < 1:
            time.sleep(0.01)
        time.sleep(0.1)
        service.use(other, "4")
        _, after = ask(port, "POST", "/detect", question("ring"))
        slow.may.set()
        _, before = begun.result()
    assert (before["model"]["version"], after["model"]["version"]) == ("3", "4")
    assert before["detections"] != after["detections"]


def test_a_fault_of_the_server_reveals_nothing_about_it(detector):
    class Broken:
        prompt = detector.prompt

        def detect(self, *_: Any) -> Any:
            raise RuntimeError("/secret/path\nand more")

    broken: Any = Broken()
    with serving(broken) as (_, port):
        status, answer = ask(port, "POST", "/detect", question("ring"))
        assert (status, answer["error"]) == (500, "the server failed (RuntimeError): see its log")
        assert ask(port, "GET", "/v2/health/ready")[0] == 200
