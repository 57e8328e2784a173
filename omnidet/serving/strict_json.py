"""JSON of a stranger: one meaning or none, and never long to parse.

The parser holds Python's lock until it is done, and every other client waits for it. A body is one
long text, the picture, and a few short ones: what has more parts than any request is refused by a
count of its bytes, which takes milliseconds.
"""

from __future__ import annotations

import json
from typing import Any

_OUTSIDE_BYTES = 1 << 16
"""Of everything that is not text, besides `_BYTES_PER_TEXT`."""
_BYTES_PER_TEXT = 100
"""A text on a line of its own, indented."""
_MOST_DIGITS = 1000


def loads(body: bytes, most_texts: int) -> dict[str, Any]:
    """The JSON object.

    Args:
        most_texts: names and texts that it may hold.

    Raises ValueError for anything else, for a name that comes twice, NaN and infinity, and for what
    is too large to be parsed.
    """
    _require_few_parts(body, most_texts)
    try:
        content = json.loads(
            body.decode(),
            object_pairs_hook=_without_repeats,
            parse_constant=_no_constant,
            parse_int=_whole,
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise ValueError("the body is not JSON: it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError("the body is not a JSON object")
    return content


def _require_few_parts(body: bytes, most_texts: int) -> None:
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")  # now every quote begins or ends a text
    texts = plain.count(b'"') // 2
    if texts > most_texts:
        raise ValueError(f"the body holds {texts} texts: a request may have {most_texts}")
    outside = sum(map(len, plain.split(b'"')[::2]))
    if outside > _OUTSIDE_BYTES + _BYTES_PER_TEXT * texts:
        raise ValueError(f"the body holds {outside} bytes that are not text: no request needs them")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the body has {twice!r} twice: give it once")
    return content


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"the body has a number of {len(text)} digits: no request needs it")
    return int(text)


def _no_constant(text: str) -> Any:
    raise ValueError(f"the body is not JSON: {text} is not a number there")
