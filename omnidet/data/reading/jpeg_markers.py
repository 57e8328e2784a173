"""Whether a JPEG file is complete, without decoding it.

Decoding 118,000 photographs takes longer than everything else in a build. A damaged entropy-coded
stream never stops a JPEG decoder, which fills in what it does not understand, but a truncated file
and a broken table do. Both show in the markers (ITU-T T.81, annex B), at a twentieth of the time.
Unusual files (arithmetic coding, 12 bits, four colours) are left to a decoder.
"""

from __future__ import annotations

import re

_START, _END, _SCAN, _TABLES, _QUANTISATION = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB
_FRAMES = (0xC0, 0xC1, 0xC2)
"""Baseline, extended and progressive with Huffman codes, which all photographs use."""
_SKIPPED = (0xDD, 0xFE, *range(0xE0, 0xF0))
"""Restart interval, comment, application data."""
# In a scan, 0xFF is followed by 0 (a byte of data), 0xD0 to 0xD7 (restart) or 0xFF (padding).
# Everything else is a marker.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def size_if_whole(content: bytes) -> tuple[int, int] | None:
    """(width, height) of a regular, complete JPEG; None for a file that a decoder must judge."""
    if content[:2] != bytes((0xFF, _START)):
        return None
    size: tuple[int, int] | None = None
    components: dict[int, int] = {}
    huffman: set[int] = set()
    quantisation: set[int] = set()
    scanned = is_progressive = False
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == _END:
            return size if scanned else None
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        segment = content[at + 4 : at + 2 + length]
        if length < 2 or len(segment) != length - 2:
            return None
        at += 2 + length
        if marker in _FRAMES and size is None:
            is_progressive = marker == _FRAMES[-1]
            parsed = _frame(segment)
            if parsed is None:
                return None
            size, components = parsed
        elif marker == _TABLES:
            if not _huffman_tables(segment, huffman):
                return None
        elif marker == _QUANTISATION:
            if not _quantisation_tables(segment, quantisation):
                return None
        elif marker == _SCAN:
            if (
                size is None
                or not set(components.values()) <= quantisation
                or not _scan(segment, components, huffman, is_progressive)
            ):
                return None
            found = _MARKER_IN_SCAN.search(content, at)
            if found is None:
                return None
            at, scanned = found.start(), True
        elif marker not in _SKIPPED:
            return None
        if at + 2 == len(content) and content[at:] == bytes((0xFF, _END)):
            return size if scanned else None
    return None


def _frame(segment: bytes) -> tuple[tuple[int, int], dict[int, int]] | None:
    """Size, and the quantisation table of each component; None unless 8 bits, 1 or 3 components."""
    if (
        len(segment) < 6
        or segment[0] != 8
        or segment[5] not in (1, 3)
        or len(segment) != 6 + 3 * segment[5]
    ):
        return None
    height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    parts = [segment[i : i + 3] for i in range(6, len(segment), 3)]
    sampled = all(1 <= p[1] >> 4 <= 4 and 1 <= p[1] & 15 <= 4 for p in parts)
    components = {p[0]: p[2] for p in parts}
    if not width or not height or not sampled or len(components) != segment[5]:
        return None
    return (width, height), components


def _huffman_tables(segment: bytes, known: set[int]) -> bool:
    at = 0
    while at < len(segment):
        counts = segment[at + 1 : at + 17]
        if (
            segment[at] & 0xEC
            or len(counts) < 16
            or sum(counts) > 256
            or at + 17 + sum(counts) > len(segment)
        ):
            return False
        room = 1
        for count in counts:  # more codes of a length than are possible
            room = 2 * room - count
            if room < 0:
                return False
        symbols = segment[at + 17 : at + 17 + sum(counts)]
        if not segment[at] >> 4 and any(symbol > 15 for symbol in symbols):
            return False
        known.add(segment[at])
        at += 17 + sum(counts)
    return True


def _quantisation_tables(segment: bytes, known: set[int]) -> bool:
    at = 0
    while at < len(segment):
        length = 128 if segment[at] >> 4 else 64
        if segment[at] & 0xEC or at + 1 + length > len(segment):
            return False
        known.add(segment[at] & 15)
        at += 1 + length
    return True


def _scan(
    segment: bytes, components: dict[int, int], huffman: set[int], is_progressive: bool
) -> bool:
    """Whether a scan names components of the frame, defined tables and valid coefficients."""
    if not segment or not 1 <= segment[0] <= 4 or len(segment) != 4 + 2 * segment[0]:
        return False
    named = [segment[1 + 2 * i : 3 + 2 * i] for i in range(segment[0])]
    first, last, high, low = segment[-3], segment[-2], segment[-1] >> 4, segment[-1] & 15
    if len({n[0] for n in named}) != len(named) or not {n[0] for n in named} <= components.keys():
        return False
    if not is_progressive:
        return (first, last, high, low) == (0, 63, 0, 0) and all(
            {n[1] >> 4, 0x10 | n[1] & 15} <= huffman for n in named
        )
    of_band = last == 0 if first == 0 else first <= last <= 63 and len(named) == 1
    if not of_band or low > 13 or (high and low != high - 1):
        return False
    if first == 0:
        return high > 0 or all(n[1] >> 4 in huffman for n in named)
    return 0x10 | named[0][1] & 15 in huffman
