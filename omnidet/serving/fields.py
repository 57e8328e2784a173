"""The fields of a form or a query: text by name, each once but for `phrases`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from omnidet.serving.config import Limits

_PARSING_SECONDS = 10.0
"""A form can be made that takes the parser long for every byte."""
_CHUNK = 1 << 16
_FLAGS = {"true": True, "false": False}


def of_query(query: bytes, limits: Limits) -> dict[str, Any]:
    """The fields of a query. Raises ValueError for one that is not UTF-8 or too long."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="strict",
            max_num_fields=limits.max_phrases + 2,
        )
    except UnicodeError:
        raise ValueError("the query is not UTF-8 in percent signs") from None
    except ValueError as error:
        raise ValueError(f"the query cannot be read: {error}") from None
    return of_pairs(pairs)


def of_form(content_type: bytes, body: bytes, limits: Limits) -> tuple[bytes, dict[str, Any]]:
    """The file `image` of a form, and its fields. Raises ValueError."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise ValueError("the form cannot be read: its content type names no boundary")
    files: list[tuple[str, bytes]] = []
    texts: list[tuple[str, str]] = []

    def take_file(file: File) -> None:
        if files:
            raise ValueError("it has more than one file")
        file.file_object.seek(0)
        files.append((_text(file.field_name), file.file_object.read()))
        file.close()

    def take_field(field: Field) -> None:
        if len(texts) > limits.max_phrases + 2:
            raise ValueError(f"it has more than {limits.max_phrases} phrases")
        name = _text(field.field_name)
        # A picture without the name of a file is a field: `_image` says that the file lacks.
        texts.append((name, "" if name == "image" else _text(field.value)))

    parser = FormParser(
        "multipart/form-data",
        take_field,
        take_file,
        boundary=boundary,
        config={
            "MAX_MEMORY_FILE_SIZE": len(body) + 1,
            "UPLOAD_ERROR_ON_BAD_CTE": True,
        },
    )
    deadline = time.monotonic() + _PARSING_SECONDS
    try:
        for begin in range(0, len(body), _CHUNK):
            parser.write(body[begin : begin + _CHUNK])
            if time.monotonic() > deadline:
                raise ValueError(f"it takes more than {_PARSING_SECONDS:.0f} seconds")
        parser.finalize()
    except (FormParserError, ValueError, LookupError) as error:
        raise ValueError(f"the form cannot be read: {error}") from None
    if not _is_whole(body, boundary):
        raise ValueError("the form cannot be read: its end is missing")
    return _image(files), of_pairs(texts)


def of_pairs(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`phrases` as a list, numbers as numbers, `no_overlaps` as true or false where it is one.

    Raises ValueError for another field that repeats.
    """
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name == "phrases":
            fields.setdefault("phrases", []).append(value)
        elif name in fields:
            raise ValueError(f"{name!r} is given twice: give it once")
        elif name == "no_overlaps":
            fields[name] = _FLAGS.get(value, value)
        else:
            fields[name] = _number(value)
    return fields


def _image(files: list[tuple[str, bytes]]) -> bytes:
    names = [name for name, _ in files]
    if names != ["image"]:
        has = f"the files {', '.join(map(repr, names[:5]))}" if names else 'no file "image"'
        raise ValueError(
            f'the form has {has}: send one file "image", for example '
            'curl -F image=@picture.jpg -F phrases="red star"'
        )
    return files[0][1]


def _is_whole(body: bytes, boundary: bytes) -> bool:
    end = b"--" + boundary + b"--"
    return body.startswith(end) or b"\r\n" + end in body


def _text(content: bytes | None) -> str:
    try:
        return (content or b"").decode()
    except UnicodeDecodeError:
        raise ValueError("a field is not UTF-8") from None


def _number(text: str) -> Any:
    """The number that a text is, `.3` too, or the text; true, NaN and lists stay text."""
    try:
        value = json.loads(f"0{text}" if text[:1] == "." else text, parse_constant=str)
    except (ValueError, RecursionError):
        return text
    return value if type(value) in (int, float) else text
