"""XML as text that every parser reads: indented, without the characters that XML forbids."""

from __future__ import annotations

import re
from xml.etree import ElementTree

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""https://www.w3.org/TR/xml/#charsets: no escape makes them readable."""


def check(text: str) -> None:
    """Raise ValueError for a text that no XML can hold."""
    found = _FORBIDDEN.search(text)
    if found:
        raise ValueError(
            f"{text!r} holds the character {found[0]!r}, which XML cannot: rename it, or write "
            "another format"
        )


def text_of(root: ElementTree.Element) -> str:
    """The element and all in it. Raises ValueError for a text that no XML can hold."""
    for element in root.iter():
        for text in (element.text or "", *element.attrib.values()):
            check(text)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
