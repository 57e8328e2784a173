"""Tensors of the Open Inference Protocol (v2), in JSON and in its binary extension, both ways.

In JSON, `data` is flat or nested as `shape` says, and bytes are text: phrases as they are, pictures
in base64. In the binary extension a tensor's bytes follow the JSON, whose length is in a header
(`HEADER`): of BYTES each element with its length before it, 4 bytes, little-endian.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omnidet.serving import requests
from omnidet.serving.config import Limits
from omnidet.serving.requests import Question

HEADER = "inference-header-content-length"
OUTPUTS: tuple[tuple[str, str, list[int]], ...] = (
    ("images", "INT64", []),
    ("boxes", "FP32", [4]),
    ("scores", "FP32", []),
    ("phrases", "BYTES", []),
)
"""Tensors of an answer: name, datatype, and shape behind the number of detections."""
_PACKED = {"INT64": "<q", "FP32": "<f"}
_OF_REQUEST = (*requests.SETTINGS, "binary_data_output")
_OF_INPUT = ("binary_data_size", "content_type")


@dataclass(frozen=True)
class Wanted:
    """How an inference request wants its answer."""

    id: str | None
    outputs: Mapping[str, bool]
    """Names of the tensors, and whether each comes as binary data."""


def read(body: bytes, header: str | None, limits: Limits) -> tuple[Question, Wanted]:
    """The question of an inference request. Raises ValueError.

    Args:
        header: what `HEADER` says, if the request has it.
    """
    length = len(body)
    if header is not None:
        if not (header.isascii() and header.isdecimal() and int(header[:19]) <= len(body)):
            raise ValueError(
                f"{HEADER} {header[:40]!r}: give the length of the JSON, {len(body)} bytes at most"
            )
        length = int(header[:19])
    content = requests.json_object(body[:length], limits)
    _require_known(content, ("id", "inputs", "outputs", "parameters"), "the request")
    parameters = _mapping(content, "parameters", "the request")
    _require_known(parameters, _OF_REQUEST, '"parameters"')
    images, phrases = _inputs(content.get("inputs"), body[length:])
    asked = {key: value for key, value in parameters.items() if key in requests.SETTINGS}
    if phrases is not None:
        asked["phrases"] = phrases
    question = requests.checked(images, asked, limits)
    return question, _wanted(content, parameters)


def _wanted(content: Mapping[str, Any], parameters: Mapping[str, Any]) -> Wanted:
    own = content.get("id")
    if own is not None and (not isinstance(own, str) or not own.isprintable() or len(own) > 256):
        raise ValueError('"id" must be text of at most 256 characters that can be printed')
    all_binary = _flag(parameters, "binary_data_output", False)
    asked = content.get("outputs") or []
    known = [name for name, _, _ in OUTPUTS]
    if not isinstance(asked, list) or not all(
        isinstance(item, dict) and item.get("name") in known for item in asked
    ):
        raise ValueError(f'"outputs" must be a list of {{"name": ...}}, of {", ".join(known)}')
    outputs: dict[str, bool] = {}
    for item in asked:
        name = item["name"]
        if name in outputs:
            raise ValueError(f'"outputs" has {name!r} twice: give it once')
        _require_known(item, ("name", "parameters"), f'output "{name}"')
        own_parameters = _mapping(item, "parameters", f'output "{name}"')
        _require_known(own_parameters, ("binary_data",), f'"parameters" of output "{name}"')
        outputs[name] = _flag(own_parameters, "binary_data", all_binary)
    return Wanted(own, outputs or dict.fromkeys(known, all_binary))


def _inputs(given: Any, binary: bytes) -> tuple[list[bytes], list[str] | None]:
    """Pictures and phrases of the tensors; None without phrases."""
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise ValueError('"inputs" must be a list of tensors: "image" and "phrases"')
    names = sorted(str(item.get("name")) for item in given)
    if names not in (["image"], ["image", "phrases"]):
        raise ValueError(
            f'"inputs" holds {", ".join(names[:9]) or "nothing"}: give "image", once, and '
            '"phrases", once, or not at all for the detector\'s own names'
        )
    elements: dict[str, list[Any]] = {}
    at = 0
    for item in given:
        name = item["name"]
        _require_known(item, ("name", "datatype", "shape", "data", "parameters"), f'input "{name}"')
        parameters = _mapping(item, "parameters", f'input "{name}"')
        _require_known(parameters, _OF_INPUT, f'"parameters" of input "{name}"')
        if item.get("datatype") != "BYTES":
            raise ValueError(
                f'input "{name}" has datatype {item.get("datatype")!r}: it must be BYTES'
            )
        size = parameters.get("binary_data_size")
        if size is None:
            values = _flat(item.get("data"), name, item.get("shape"))
            read_one = requests.picture if name == "image" else _same
            elements[name] = [read_one(value, name) for value in values]
            continue
        if "data" in item:
            raise ValueError(f'input "{name}" has both "data" and binary data: give one')
        if type(size) is not int or not 0 <= size <= len(binary) - at:
            raise ValueError(
                f'input "{name}" has binary_data_size {size!r}: '
                f"{len(binary) - at} bytes are left behind the JSON"
            )
        pieces = _unpacked(binary[at : at + size], name)
        at += size
        _require_shape(item.get("shape"), len(pieces), name)
        elements[name] = pieces if name == "image" else [_utf8(piece) for piece in pieces]
    if at != len(binary):
        raise ValueError(f"{len(binary) - at} bytes behind the JSON belong to no input")
    return elements["image"], elements.get("phrases")


def _same(value: Any, _: str) -> Any:
    return value


def _flat(data: Any, name: str, shape: Any) -> list[Any]:
    """The elements in one row. Raises ValueError unless they are nested as the shape says."""
    if not isinstance(data, list):
        raise ValueError(f'input "{name}" has no list "data", and no binary_data_size')
    if not any(isinstance(item, list) for item in data):
        _require_shape(shape, len(data), name)
        return data
    rows = [item if isinstance(item, list) else [item] for item in data]
    nested = [len(data), len(rows[0])]
    if shape != nested or any(len(row) != nested[1] for row in rows):
        raise ValueError(f'input "{name}" has shape {shape!r:.60} and data nested otherwise')
    return [element for row in rows for element in row]


def _require_shape(shape: Any, count: int, name: str) -> None:
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= 4
        or not all(type(size) is int and 0 <= size < 2**31 for size in shape)
    ):
        raise ValueError(f'input "{name}" has no valid shape, for example [{count}]')
    if math.prod(shape) != count:
        raise ValueError(f'input "{name}" has shape {shape} and {count} elements')


def _unpacked(content: bytes, name: str) -> list[bytes]:
    """Elements of a tensor of bytes, each with its length before it."""
    pieces: list[bytes] = []
    at = 0
    while at < len(content):
        if at + 4 > len(content):
            raise ValueError(f'binary data of input "{name}" ends within a length')
        (length,) = struct.unpack_from("<I", content, at)
        if length > len(content) - at - 4:
            raise ValueError(
                f'binary data of input "{name}": element {len(pieces)} says {length} bytes, '
                f"{len(content) - at - 4} are left"
            )
        if len(pieces) >= _MOST_PIECES:
            raise ValueError(f'binary data of input "{name}" has more than {_MOST_PIECES} elements')
        pieces.append(content[at + 4 : at + 4 + length])
        at += 4 + length
    return pieces


_MOST_PIECES = 100_000


def _utf8(piece: bytes) -> str:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        raise ValueError('binary data of input "phrases" is not UTF-8') from None


def _require_known(content: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    unknown = [name for name in content if name not in known]
    if unknown:
        raise ValueError(f"{where} has {unknown[0]!r:.60}: it may have {', '.join(known)}")


def _mapping(content: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    found = content.get(name)
    if found is not None and not isinstance(found, dict):
        raise ValueError(f'"{name}" of {where} must be an object, for example {{"threshold": 0.3}}')
    return found or {}


def _flag(parameters: Mapping[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise ValueError(f"{name} {value!r:.60}: give true or false")
    return value


def packed(values: Sequence[Any], datatype: str) -> bytes:
    """The values as binary data."""
    if datatype != "BYTES":
        return b"".join(struct.pack(_PACKED[datatype], value) for value in values)
    texts = [value.encode() for value in values]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
