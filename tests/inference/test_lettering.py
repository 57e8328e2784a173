"""A font for the letters of a label, from this machine where Pillow's own has not all of them."""

from __future__ import annotations

import pytest
from PIL import ImageFont

from omnidet.inference import lettering


@pytest.fixture
def no_fonts(monkeypatch):
    """A machine without fonts, such as a container."""
    monkeypatch.setattr(lettering, "_of_system", tuple)
    lettering._font_for.cache_clear()
    yield
    lettering._font_for.cache_clear()


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("red star", "red star"),
        (" red\n star ", "red star"),
        ("Öl, cafe\u0301", "Ol, cafe"),
        ("", ""),
        ("wait…", "wait…"),
    ],
)
def test_latin_letters_are_in_pillows_own_font(no_fonts, text, drawn):
    found = lettering.lettered(text, 14)
    assert found is not None
    assert found[0] == drawn
    assert found[1].getname() == ImageFont.load_default(14).getname()
    assert found[1].size == 14


@pytest.mark.parametrize("text", ["звезда", "red звезда", "赤い星", "💙", "نجمة", "दिल"])
def test_letters_that_no_font_has_are_told(no_fonts, text):
    assert lettering.lettered(text, 14) is None
    assert lettering.unwritable(["star", text, "ring"]) == [text]


def test_a_font_of_the_system_is_taken_for_what_it_has():
    found = lettering.lettered("звезда", 14)
    if found is None:
        pytest.skip("no font with Cyrillic letters is installed")
    text, font = found
    assert text == "звезда"
    assert font.getname() != ImageFont.load_default(14).getname()
    assert len({bytes(font.getmask(letter)) for letter in text}) == len(set(text))
    assert font.size == 14


def test_a_file_that_is_no_font_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "sans.ttf").write_bytes(b"no font")
    monkeypatch.setattr(lettering, "_FOLDERS", {"linux": (str(tmp_path),)})
    monkeypatch.setattr(lettering.sys, "platform", "linux")
    lettering._of_system.cache_clear()
    lettering._font_for.cache_clear()
    assert lettering._of_system() == (str(tmp_path / "sans.ttf"),)
    assert lettering.lettered("звезда", 14) is None
    lettering._of_system.cache_clear()
    lettering._font_for.cache_clear()
