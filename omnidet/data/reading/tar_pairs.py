"""Pictures and captions in WebDataset tars, as img2dataset and `omnidet fetch-images` write them.

A pair is `<key>.jpg` (or png, webp) with `<key>.txt` or `<key>.json`. The caption is the text file,
or `caption` in the JSON.
"""

from __future__ import annotations

import functools
import json
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from omnidet.data.reading import annotations as files
from omnidet.data.reading import tar_headers
from omnidet.data.reading.annotations import Piece
from omnidet.data.reading.dataset_folder import DataFolder
from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.reading.tar_headers import BLOCK_BYTES, CarefulStream
from omnidet.schema import Record

IMAGE_KINDS = ("jpg", "jpeg", "png", "webp")
TEXT_KINDS = ("txt", "json")
MAX_MEMBER_BYTES = 1 << 28
"""Largest picture, text or header. More means damage."""

Members = dict[str, dict[str, tarfile.TarInfo]]
"""The tar's members by key and kind."""


def pieces(source: str, folder: DataFolder, tars: Iterable[str]) -> Iterator[Piece]:
    """A piece for each tar, with a Record for each pair, ordered by key.

    How many pairs a tar holds is known only after reading it.
    """
    stamps = folder.stamps()
    for name in tars:
        yield functools.partial(_read_piece, source, folder, name, stamps.get(name, ""))


def image_ids(source: str, folder: DataFolder, tars: Iterable[str]) -> set[str]:
    """Ids of all keys that have an image."""
    found = set()
    for name in tars:
        with folder.fetched(name) as path, _opened(path) as archive:
            for key, kinds in _members(archive, path, source, Quarantine()).items():
                if any(kind in kinds for kind in IMAGE_KINDS):
                    found.add(_image_id(source, path, key))
    return found


def _read_piece(
    source: str,
    folder: DataFolder,
    name: str,
    stamp: str,  # noqa: ARG001  # with other captions it is another piece
    quarantine: Quarantine,
) -> Iterator[Record]:
    """Holds only one image in memory."""
    with folder.fetched(name) as path, _opened(path) as archive:
        members = _members(archive, path, source, quarantine)
        for key in sorted(members):
            record = _record(archive, path, source, key, members[key], quarantine)
            if record:
                yield record


def _image_id(source: str, path: Path, key: str) -> str:
    return f"{source}:{path.stem}/{key}"


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as file, ExitStack() as opened:
        careful = CarefulStream(file, MAX_MEMBER_BYTES, tarfile.ReadError)
        try:
            archive = opened.enter_context(tarfile.open(fileobj=careful, mode="r:"))
        except tar_headers.ERRORS as error:
            raise _broken(path, str(error)) from error
        yield archive


def _broken(path: Path, problem: str) -> ValueError:
    return ValueError(f"{path} is truncated or corrupt ({problem}): fetch it again")


def _members(archive: tarfile.TarFile, path: Path, source: str, quarantine: Quarantine) -> Members:
    """All members, from one pass over the headers, because keys come in any order."""
    try:
        found = list(tar_headers.members(archive))
    except tar_headers.ERRORS as error:
        raise _broken(path, str(error)) from error
    _check_end(path, found)
    members: Members = {}
    for member in found:
        folder, _, name = member.name.rpartition("/")
        stem, _, kind = name.partition(".")
        # A sparse member can claim any size without having it.
        if not member.isreg() or member.issparse() or not stem:
            continue
        key = f"{folder}/{stem}" if folder not in ("", ".") else stem
        if kind.lower() in members.setdefault(key, {}):
            quarantine.reject(source, f"{path.name}:{member.name}", "duplicate key", "caption")
        else:
            members[key][kind.lower()] = member
    return members


def _check_end(path: Path, found: list[tarfile.TarInfo]) -> None:
    """Raise ValueError unless the archive ends with a block of zeros.

    Python's reader takes a broken header for the end of the archive.
    """
    last = max(found, key=lambda member: member.offset_data, default=None)
    size = last.size if last and last.isreg() else 0
    end = last.offset_data + -(-size // BLOCK_BYTES) * BLOCK_BYTES if last else 0
    with path.open("rb") as file:
        file.seek(end)
        if file.read(BLOCK_BYTES) != bytes(BLOCK_BYTES):
            raise _broken(path, f"no end of archive at byte {end}")


def _record(
    archive: tarfile.TarFile,
    path: Path,
    source: str,
    key: str,
    kinds: dict[str, tarfile.TarInfo],
    quarantine: Quarantine,
) -> Record | None:
    item = f"{path.name}:{key}"
    image = next((kinds[kind] for kind in IMAGE_KINDS if kind in kinds), None)
    if image is None:
        quarantine.reject(source, item, "missing image file")
        return None
    caption = _caption(
        {kind: _content(archive, kinds[kind], path) for kind in TEXT_KINDS if kind in kinds}
    )
    if not caption:
        quarantine.reject(source, item, "empty caption", "caption")
        return None
    content = _content(archive, image, path)
    size = files.image_size(content)
    if isinstance(size, str):
        quarantine.reject(source, item, size)
        return None
    return Record(
        content, *size, source=source, image_id=_image_id(source, path, key), caption=caption
    )


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes:
    try:
        file = archive.extractfile(member)
        return file.read() if file else b""
    except tarfile.TarError as error:
        raise _broken(path, str(error)) from error


def _caption(texts: dict[str, bytes]) -> str:
    """The caption, or "" if there is none. CC12M replaces names by `<PERSON>`."""
    text = texts.get("txt", b"").decode("utf-8", "replace")
    if not text.strip() and "json" in texts:
        try:
            entry = json.loads(texts["json"])
        except (ValueError, RecursionError):
            entry = None
        value = entry.get("caption") if isinstance(entry, dict) else None
        text = value if isinstance(value, str) else ""
    return files.plain(text.replace("<PERSON>", "person"))
