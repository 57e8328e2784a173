"""Classes as datasets spell them are words that the vocabulary knows."""

from __future__ import annotations

import pytest

from omnidet.data.class_names import phrase, words


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *((name, "bolt washer") for name in ("BoltWasher", "bolt_washer", "bolt-washer")),
        ("BOLT WASHER", "bolt washer"),
        ("USBCable", "usb cable"),
        ("iPhone", "iPhone"),
        ("RBC", "RBC"),
        ("LEDs", "LEDs"),
        ("7", "7"),
        ("cat", "cat"),
        ("BoltWasher", "bolt washer"),
        ("bolt_washer", "bolt washer"),
        ("bolt-washer", "bolt washer"),
        ("BoltNutSet", "bolt nut set"),
        ("M8Bolt", "m8 bolt"),
        ("OxCart", "ox cart"),
        ("БолтГайка", "болт гайка"),
        ("Platelets", "Platelets"),
    ],
)
def test_words_of_a_name(name, meant):
    assert phrase(name) == meant


def test_words_as_the_vocabulary_reads_them():
    assert words("Köln’s (big) CAKE") == "kölns big cake"
