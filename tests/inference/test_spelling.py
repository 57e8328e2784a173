"""Phrases that look right and are not."""

from __future__ import annotations

import pytest

from omnidet.inference.spelling import doubts


@pytest.mark.parametrize(
    ("phrase", "named"),
    [
        ("red st\u200bar", "U+200B"),
        ("red\u00ad star", "U+00AD"),
        ("\ufeffred star", "U+FEFF"),
        ("st\u200dar", "U+200D"),
        ("\u202ered star", "U+202E"),
        ("st\u2060ar", "U+2060"),
        ("st\ufe0far", "U+FE0F"),
        ("st\u3164ar", "U+3164"),
        ("st\x00ar", "U+0000"),
        ("red st\u0430r", "U+0430"),
        ("r\u0435d star", "U+0435"),
        ("\u03bfrange", "U+03BF"),
        ("st\u0251r", None),
        ("\u0441\u0430\u0440", "U+0441"),
        ("\u0391\u03a4", "U+0391"),
    ],
)
def test_what_is_told(phrase, named):
    found = doubts([phrase])
    assert bool(found) == (named is not None)
    assert all(line.isascii() and named in line for line in found)


@pytest.mark.parametrize(
    "phrase",
    [
        "red star",
        "Öl, café, naïve",
        "красная звезда",
        "κόκκινο αστέρι",
        "赤い星",
        "نجمة حمراء",
        "می‌خواهم",
        "क्‍ष",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "❤\ufe0f",
        "ｒｅｄ ｓｔａｒ",
        "cat\tdog\n",
        "5 µm, 3 Ω",
    ],
)
def test_what_is_meant(phrase):
    assert doubts([phrase]) == []


def test_there_is_an_end_to_it():
    assert len(doubts(["a\u200bb"] * 100)) == 5
