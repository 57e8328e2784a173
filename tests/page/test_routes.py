"""The page in a real browser: pictures, words, threshold, why, two versions, phone and desktop."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from importlib import resources

import pytest

from omnidet.inference import pictures
from omnidet.inference.defaults import THRESHOLD
from omnidet.inference.detector import OmniDet
from omnidet.model.confidence import Confidence
from omnidet.page.routes import routes
from omnidet.serving.bodies import Bodies
from omnidet.serving.config import Limits, ServerConfig
from omnidet.serving.service import Service
from tests import browser, toys
from tests.serving import running

WIDE = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
NAMELESS = """
[...document.querySelectorAll('button, input, textarea')]
  .filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))
  .map(e => e.outerHTML)
"""
"""Controls that a screen reader could not name."""
SET = """
window.set = bar => document.querySelectorAll('#bars input').forEach(
  input => { input.value = bar; input.oninput() });
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A server of the page, with two detectors side by side."""
    folder = tmp_path_factory.mktemp("page")
    for seed in (0, 1):
        toys.write_bundle(folder / f"toy{seed}", seed)
    with _page(folder) as found:
        yield found


@contextlib.contextmanager
def _page(folder):
    """The address of a server that shows `toy0` and `toy1` side by side."""
    command = [sys.executable, "-m", "omnidet.cli", "demo", "--model", str(folder / "toy0")]
    command += ["--compare", str(folder / "toy1"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            process.stdout.readline()
            yield re.search(r"http://\S+", process.stdout.readline())[0]
        finally:
            process.terminate()


def _post(url, content):
    request = urllib.request.Request(
        url, json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def _refused(url, content):
    """Why a request is wrong."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        _post(url, content)
    with refused.value as answer:
        assert answer.code == 400
        return json.load(answer)["error"]


def test_the_page_loads_nothing_from_elsewhere(address):
    with urllib.request.urlopen(address) as answer:
        text, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)


def test_both_versions_answer_and_differ(address):
    with urllib.request.urlopen(f"{address}/page/versions") as answer:
        first, second = json.load(answer)["versions"]
    assert (first["name"], second["name"]) == ("toy0", "toy1")
    image = base64.b64encode(toys.png(64, 64, [(5, 5, 30, 30)])).decode()
    asked = {"image": image, "phrases": ["red star"], "threshold": 0.01}
    found = [_post(f"{address}{v['path']}/detect", asked)["detections"] for v in (first, second)]
    assert found[0] != found[1]


def test_a_box_is_explained_by_its_words(address):
    image = base64.b64encode(toys.png(64, 64, [(5, 5, 30, 30)])).decode()
    why = _post(
        f"{address}/page/explain",
        {"image": image, "phrase": "red star", "box": [5, 5, 30, 30]},
    )
    assert {token["text"] for token in why["tokens"]} == {"red", "star"}
    assert sum(token["weight"] for token in why["tokens"]) == pytest.approx(1, abs=1e-3)
    total = sum(token["weight"] * token["logit"] for token in why["tokens"])
    assert total == pytest.approx(why["logit"], abs=0.01)


def test_a_box_of_each_version_is_explained_by_that_version(address):
    image = base64.b64encode(toys.png(64, 64, [(5, 5, 30, 30)])).decode()
    asked = {"image": image, "phrases": ["red star"], "threshold": 0.01, "max_detections": 1}
    for version in ("", "/other"):
        (found,) = _post(f"{address}{version}/detect", asked)["detections"]
        question = {"image": image, "phrase": "red star", "box": found["box"]}
        why = _post(f"{address}{version}/page/explain", question)
        assert why["score"] == pytest.approx(found["score"], abs=1e-4)
    text = resources.files("omnidet.page").joinpath("page.html").read_text(encoding="utf-8")
    assert 'fetch(below(result.version) + "page/explain"' in text


def test_the_page_speaks_of_the_version_that_is_there_now(tmp_path):
    """A server with --follow takes another one while it runs."""
    toys.write_bundle(tmp_path / "toy")
    detector = OmniDet.from_pretrained(tmp_path / "toy")
    service = Service(detector, "toy", "1", ServerConfig())
    made = routes([service], Bodies(service.config.patience))
    (versions,) = (route.endpoint for route in made if route.path == "/page/versions")
    (before,) = json.loads(asyncio.run(versions(None)).body)["versions"]
    fitted = {**detector.config, **Confidence(threshold=0.42).to_config()}
    service.use(OmniDet(detector.detector, detector.vocabulary, fitted), "2")
    (after,) = json.loads(asyncio.run(versions(None)).body)["versions"]
    assert (before["version"], before["threshold"]) == ("1", THRESHOLD)
    assert (after["version"], after["threshold"]) == ("2", 0.42)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"box": [1, 2]}, "box [1, 2]"),
        ({"box": None}, "box None"),
        ({"box": ["1", "2", "30", "40"]}, "box ['1', '2', '30', '40']"),
        ({"box": [False, False, True, True]}, "box [False"),
        ({"box": [1, 2, 10**400, 4]}, "box [1, 2, 1000"),
        ({"box": [1, 2, -(10**400), 4]}, "box [1, 2, -1000"),
        ({"box": [5000, 5000, 6000, 6000]}, "64 x 64"),
        ({"box": [-20, 5, -10, 30]}, "64 x 64"),
        ({"phrase": ""}, "phrase 0"),
        ({"phrase": None}, "phrase 0"),
        ({"phrase": ["red star"]}, "phrase 0"),
        ({"phrase": "a" * 301}, "301 characters"),
        ({"phrase": "red\0star"}, "zero character"),
        ({"phrase": "red \ufffd"}, "U+FFFD"),
        ({"image": 3}, "image"),
        ({"threshold": 0.3}, "unknown threshold"),
    ],
)
@pytest.mark.parametrize("place", ["", "/other"])
def test_a_wrong_question_is_refused(address, place, wrong, reason):
    image = base64.b64encode(toys.png(64, 64, [])).decode()
    content = {"image": image, "phrase": "red star", "box": [1, 2, 30, 40], **wrong}
    error = _refused(f"{address}{place}/page/explain", content)
    assert reason in error
    assert len(error) < 300


def test_a_query_is_no_part_of_the_question(address):
    image = base64.b64encode(toys.png(64, 64, [])).decode()
    content = {"image": image, "phrase": "red star", "box": [1, 2, 30, 40]}
    assert "query" in _refused(f"{address}/page/explain?phrase=ring", content)


def test_a_picture_is_explained_within_the_servers_limits():
    asked = {"phrase": "ring", "box": [1, 2, 20, 25]}
    with running.serving(running.toy(), page=True, limits=Limits(max_pixels=2000)) as (_, port):
        large = base64.b64encode(toys.png(90, 30, [])).decode()
        status, found = running.ask(port, "POST", "/page/explain", {"image": large, **asked})
        assert status == 400
        assert "90 x 30" in found["error"]
        assert "2000 pixels" in found["error"]
        small = base64.b64encode(toys.png(60, 30, [])).decode()
        assert running.ask(port, "POST", "/page/explain", {"image": small, **asked})[0] == 200


def test_large_pictures_take_turns_and_have_a_deadline(monkeypatch):
    """Those that are explained too."""
    monkeypatch.setattr("omnidet.serving.service._LARGE", 2000)
    is_locked, deadlines = [], []
    read = pictures.read

    def watched(given, *more):
        if isinstance(given, bytes):  # not yet decoded
            is_locked.append(service._large.locked())
            deadlines.append(more[2] if len(more) > 2 else None)
        return read(given, *more)

    monkeypatch.setattr(pictures, "read", watched)
    with running.serving(running.toy(), page=True) as (service, port):
        for width in (60, 90):
            image = base64.b64encode(toys.png(width, 30, [])).decode()
            asked = {"image": image, "phrase": "ring", "box": [1, 2, 20, 25]}
            assert running.ask(port, "POST", "/page/explain", asked)[0] == 200
    assert is_locked == [False, True]
    assert None not in deadlines


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_words_are_tried_in_a_browser(address, tmp_path, width):
    if browser.program() is None and os.environ.get("OMNIDET_TEST_BROWSER") != "required":
        pytest.skip("no Chromium")
    picture = base64.b64encode(toys.png(96, 64, [(5, 5, 30, 30)])).decode()
    with browser.browser(tmp_path / "profile") as tab:
        tab.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        tab.call("Page.navigate", url=address)
        tab.run("new Promise(done => setTimeout(done, 1500))")
        tab.run(
            f"const bytes = Uint8Array.from(atob('{picture}'), c => c.charCodeAt(0));"
            "choose([new File([bytes], 'a.png', {type: 'image/png'})]);"
            "document.getElementById('word').value = 'red <b>star';"
            "document.getElementById('add').requestSubmit();"
        )
        tab.run(SET + "set(.01); find()")
        drawn = "document.querySelectorAll('svg rect').length"
        many = tab.run(drawn)
        assert tab.run("document.querySelectorAll('figure').length") == 2
        assert many > 0
        assert tab.run("document.querySelector('#chips b')") is None  # words are text, not HTML
        before = tab.run("performance.getEntriesByType('resource').length")
        tab.run("set(.99)")
        assert tab.run(drawn) < many
        tab.run("set(.01)")
        assert tab.run(drawn) == many
        assert tab.run("performance.getEntriesByType('resource').length") == before
        tab.run("explain(state.results[0], state.results[0].answer.detections[0])")
        assert "star" in tab.run("document.getElementById('why').textContent")
        tab.run("document.querySelector('[data-copy=curl]').click()")
        assert "curl http://" in tab.run("document.getElementById('code').value")
        assert tab.run(WIDE)
        assert tab.run(NAMELESS) == []
        tab.screenshot(tmp_path / "page.png")
        assert [line for line in tab.logged if "favicon" not in line] == []


@pytest.mark.slow
def test_each_version_is_shown_from_its_own_threshold_on(tmp_path):
    if browser.program() is None and os.environ.get("OMNIDET_TEST_BROWSER") != "required":
        pytest.skip("no Chromium")
    toys.write_bundle(tmp_path / "toy0")
    toys.write_bundle(tmp_path / "toy1", 1, Confidence(threshold=0.425))
    picture = base64.b64encode(toys.png(96, 64, [(5, 5, 30, 30)])).decode()
    with _page(tmp_path) as address, browser.browser(tmp_path / "profile") as tab:
        tab.call("Page.navigate", url=address)
        tab.run("new Promise(done => setTimeout(done, 1500))")
        assert tab.run("state.versions.map(v => v.bar)") == [THRESHOLD, 0.425]
        shown = "[...document.querySelectorAll('#bars .row')].map(row => row.textContent)"
        assert [re.findall(r"0\.\d+", text) for text in tab.run(shown)] == [
            ["0.30", "0.30"],
            ["0.42", "0.42"],
        ]
        tab.run(
            f"const bytes = Uint8Array.from(atob('{picture}'), c => c.charCodeAt(0));"
            "choose([new File([bytes], 'a.png', {type: 'image/png'})]);"
            "state.words = ['star']; find()"
        )
        tab.run(
            "for (const result of state.results) result.answer.detections = ["
            "  {box: [1, 1, 9, 9], score: .421, phrase: 'star'}]; show()"
        )
        counts = (
            "[...document.querySelectorAll('figure')].map(f => f.querySelectorAll('rect').length)"
        )
        assert tab.run(counts) == [1, 0]  # .421 is not .425, though both are shown as .42
        tab.run("threshold1.value = .4; threshold1.oninput()")
        assert tab.run(counts) == [1, 1]
        tab.run("document.querySelectorAll('#bars button')[1].click()")
        assert tab.run(counts) == [1, 0]
        assert tab.run(NAMELESS) == []
