"""The lists of a JSON file of any size, read element by element: only what is kept takes memory.

LVIS train is 1 GB of JSON, nine tenths of it segmentation masks that no adapter reads. `json.loads`
would need several times that. This reads it in one pass with the standard library's decoder, a
window of text at a time. `docs/decisions/0011-libraries.md` compares it with ijson.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

WINDOW_CHARACTERS = 1 << 20
MAX_ELEMENT_CHARACTERS = 1 << 26
"""Longest element of a list, or value that is not a list. More means damage: an unclosed string."""

_SPACE = re.compile(r"[ \t\n\r]*")
_FOLLOWING = tuple(" \t\n\r,:]}")
_DECODER = json.JSONDecoder()


def load(path: Path, keep: Mapping[str, Sequence[str]]) -> Any:
    """The members `keep` of the object in the file, and of the elements of their lists some fields.

    Anything but an object is returned whole, as by `json.loads`. Raises ValueError if the file is
    not valid JSON, and RecursionError if values are nested too deeply.

    Args:
        keep: member -> fields of its elements, such as {"images": ("id", "file_name")}. All other
            members are skipped.
    """
    with path.open("rb") as file:
        encoding = json.detect_encoding(file.read(4))
    with path.open(encoding=encoding, errors="surrogatepass", newline="") as file:
        text = _Text(file)
        if text.next_character() != "{":
            content = text.value(MAX_ELEMENT_CHARACTERS * 16)
            text.end()
            return content
        found = {name: value for name, value in _members(text, keep) if name in keep}
        text.end()
        return found


def _members(text: _Text, keep: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Any]]:
    text.skip("{")
    while text.next_character() != "}":
        name = text.value()
        if not isinstance(name, str):
            raise text.error("expected a name in quotes")
        text.skip(":")
        if text.next_character() == "[":
            elements = _elements(text)
            if name in keep:
                yield name, [_only(element, keep[name]) for element in elements]
            else:
                for _ in elements:
                    pass
        else:
            yield name, text.value()
        if text.next_character() != "}":
            text.skip(",")
            if text.next_character() == "}":
                raise text.error("a comma before the closing bracket")
    text.skip("}")


def _elements(text: _Text) -> Iterator[Any]:
    text.skip("[")
    while text.next_character() != "]":
        yield text.value()
        if text.next_character() != "]":
            text.skip(",")
            if text.next_character() == "]":
                raise text.error("a comma before the closing bracket")
    text.skip("]")


def _only(element: Any, fields: Sequence[str]) -> Any:
    return (
        {field: element[field] for field in fields if field in element}
        if isinstance(element, dict)
        else element
    )


class _Text:
    """A window that moves over the file."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.window, self.position, self.passed = "", 0, 0
        self.at_end = False

    def next_character(self) -> str:
        """The next character that is not white space, without moving on; "" at the end."""
        following = self.window[self.position : self.position + 1]
        if following and following not in " \t\n\r":
            return following  # the common case, without a regular expression
        while True:
            self.position = _SPACE.match(self.window, self.position).end()  # type: ignore[union-attr]  # matches anything
            if self.position < len(self.window):
                return self.window[self.position]
            if not self._more(WINDOW_CHARACTERS):
                return ""

    def skip(self, character: str) -> None:
        if self.next_character() != character:
            raise self.error(f"expected {character!r}")
        self.position += 1

    def value(self, max_characters: int = MAX_ELEMENT_CHARACTERS) -> Any:
        """The value that begins here."""
        if not self.next_character():
            raise self.error("the file ends too early")
        size = WINDOW_CHARACTERS
        while True:
            try:
                value, end = _DECODER.raw_decode(self.window, self.position)
                # The 1 of 1.5 is a number too: only what follows shows that a value is complete.
                if (
                    self.at_end
                    or self.window[end : end + 1] in _FOLLOWING
                    or end - self.position > max_characters
                ):
                    self.position = end
                    return value
            except json.JSONDecodeError as error:
                if self.at_end or len(self.window) - self.position > max_characters:
                    raise self.error(error.msg, error.pos) from None
            self._more(size)
            size *= 2

    def end(self) -> None:
        if self.next_character():
            raise self.error("more text after the end")

    def error(self, problem: str, position: int | None = None) -> ValueError:
        place = self.passed + (self.position if position is None else position)
        return ValueError(f"{problem} at character {place + 1}")

    def _more(self, characters: int) -> bool:
        """Drop what was read and read more. False at the end of the file."""
        if self.at_end:
            return False
        added = self.file.read(characters)
        self.passed += self.position
        self.window, self.position = self.window[self.position :] + added, 0
        self.at_end = not added
        return not self.at_end
