"""The detector behind the server, without sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from omnidet.inference.detector import OmniDet
from omnidet.serving.config import ServerConfig
from omnidet.serving.requests import Question
from omnidet.serving.service import Service
from tests import toys

SMALL, LARGE = toys.png(30, 90, []), toys.png(90, 30, [(5, 5, 20, 20)])


@pytest.fixture
def service() -> Service:
    detector = OmniDet(toys.toy_detector(), toys.toy_vocabulary(), {})
    return Service(detector, "toy", "3", ServerConfig(concurrency=1, max_waiting=1))


def _answer(service: Service, *images: bytes, phrases: tuple[str, ...] = ("ring",)) -> Any:
    question = Question(images, phrases, 0.0, 5)
    return service.loaded.version, asyncio.run(service.answer(question, service.loaded))


def test_each_image_gets_its_answer(service):
    version, found = _answer(service, SMALL, LARGE)
    assert version == "3"
    assert [(d.width, d.height) for d in found] == [(30, 90), (90, 30)]
    assert [len(d.scores) for d in found] == [5, 5]


def test_the_threshold_is_the_detectors_own_unless_one_is_asked_for():
    detector = OmniDet(toys.toy_detector(), toys.toy_vocabulary(), toys.CONFIDENCE.to_config())
    service = Service(detector, "toy", "3", ServerConfig())

    def found(threshold):
        question = Question((LARGE,), ("red star", "ring"), threshold, 100)
        (one,) = asyncio.run(service.answer(question, service.loaded))
        return one.scores.tolist()

    everything = found(0.0)
    assert found(None) == [score for score in everything if score >= detector.threshold]
    assert 0 < len(found(None)) < len(everything)
    assert len(found(1.0)) == 0


@pytest.mark.parametrize(("images", "name"), [((b"no",), "the image"), ((SMALL, b"no"), "image 1")])
def test_an_image_that_cannot_be_read_is_named(service, images, name):
    with pytest.raises(ValueError, match=f"^{name} cannot be read"):
        _answer(service, *images)


def test_phrases_are_encoded_once(service, monkeypatch):
    encoded = []
    prompt = service.loaded.detector.prompt
    monkeypatch.setattr(
        service.loaded.detector, "prompt", lambda given: encoded.append(given) or prompt(given)
    )
    service.use(service.loaded.detector, "4")
    for phrases in (("ring",), ("star",), ("ring",)):
        _answer(service, SMALL, phrases=phrases)
    assert encoded == [("ring",), ("star",)]


def test_there_is_room_for_those_that_run_and_those_that_wait(service):
    with service.place(), service.place():
        with pytest.raises(HTTPException) as refused, service.place():
            pass
        assert refused.value.status_code == 503
    with service.place():
        pass
