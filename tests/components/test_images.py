"""References of the images: from the environment, and never one that moves."""

from __future__ import annotations

import pytest

from components import images
from omnidet import __version__


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("OMNIDET_IMAGE_REPOSITORY", "OMNIDET_IMAGE_TAG"):
        monkeypatch.delenv(name, raising=False)


def test_the_tag_is_the_version():
    assert images.image("train") == f"ghcr.io/omnidet/train:{__version__}"


def test_images_of_a_team(monkeypatch):
    monkeypatch.setenv("OMNIDET_IMAGE_REPOSITORY", "registry.example.com:5000/team/")
    monkeypatch.setenv("OMNIDET_IMAGE_TAG", "1.2-cuda")
    assert images.image("train") == "registry.example.com:5000/team/train:1.2-cuda"


@pytest.mark.parametrize("tag", ["latest", "", "a b"])
def test_a_tag_that_moves_is_refused(monkeypatch, tag):
    monkeypatch.setenv("OMNIDET_IMAGE_TAG", tag)
    with pytest.raises(ValueError, match=f"OMNIDET_IMAGE_TAG='{tag}'.* {__version__}"):
        images.image("data")


def test_a_wrong_repository_is_refused(monkeypatch):
    monkeypatch.setenv("OMNIDET_IMAGE_REPOSITORY", "has space")
    with pytest.raises(ValueError, match="OMNIDET_IMAGE_REPOSITORY='has space'"):
        images.image("data")
