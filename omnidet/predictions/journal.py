"""`predictions.jsonl`: a line for each picture that is done, which a killed run goes on from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from omnidet import local_files, storage
from omnidet.predictions import sources
from omnidet.predictions.inputs import SETTINGS

if TYPE_CHECKING:
    from omnidet.predictions.inputs import Item

NAME = "predictions.jsonl"
WRITTEN = ".written.json"
LOCK = ".lock"
_TEXT: Any = {"encoding": "utf-8", "errors": "backslashreplace"}
"""A byte of a file's name that is not UTF-8 is written as JSON's escape for it, `\\udce9`: what is
written is UTF-8, and reads as the same name."""


class Journal:
    """The run in a folder; a context manager, which keeps other processes out.

    Raises ValueError if the folder holds something else, a run with other settings, or one that is
    under way.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], flag: str, replaces: bool = False
    ) -> None:
        """Args:
        settings: what the results depend on; JSON.
        flag: the option that named the folder, for messages.
        replaces: whether a picture that changed is looked at again; else it is refused.
        """
        self.folder, self._flag, self._replaces = folder, flag, replaces
        self._settings = json.loads(json.dumps(settings))
        self.done: dict[str, str] = {}
        """Output key by `identity` of the picture."""
        self._sources: dict[str, Mapping[str, Any]] = {}
        self._at: dict[str, int] = {}
        """Where the line of each picture begins, in bytes."""
        self._has_replaced = False
        """Whether the file has two lines of one picture: see `settle`."""

    def check(self, without: Sequence[str] = ()) -> None:
        """Raise ValueError if the folder holds something else, or a run with other settings.

        Args:
            without: settings that are not known yet.
        """
        folder, flag = self.folder, self._flag
        if storage.is_s3(str(folder)) or str(folder).startswith("s3:/"):
            raise ValueError(f"{flag} {folder}: give a local folder")
        if storage.is_other_than_folder(folder):
            raise ValueError(f"{flag} {folder} is a file: give a folder")
        settings = folder / SETTINGS
        # Before `settings`: a run that begins meanwhile is one, too.
        is_used = any(name != LOCK for name in local_files.first_names(str(folder)))
        if not settings.is_file():
            if is_used:
                raise ValueError(
                    f"{flag} {folder} holds other files, which nothing is written over: "
                    "give a new folder"
                )
            return
        try:
            before = json.loads(settings.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{settings} is damaged: give another {flag}") from error
        if self._is_bare():
            return
        for key in sorted((self._settings.keys() | before.keys()) - set(without)):
            if before.get(key) != self._settings.get(key):
                raise ValueError(
                    f"{flag} {folder} holds a run with {key} {_short(before.get(key))}, not "
                    f"{_short(self._settings.get(key))}: give another folder, or the same settings"
                )

    def _is_bare(self) -> bool:
        """Whether the run that made the folder found no picture to look at, so that nothing is lost
        by other settings."""
        own = {SETTINGS, LOCK, NAME}
        files = [path for path in self.folder.rglob("*") if not path.is_dir()]
        return all(p.name in own and p.parent == self.folder for p in files) and not any(
            p.stat().st_size for p in files if p.name == NAME
        )

    def __enter__(self) -> Journal:
        storage.require_writable(self.folder)
        self.folder.mkdir(exist_ok=True)
        busy = f"another run works in {self.folder}: wait for it, or give another {self._flag}"
        self._lock: AbstractContextManager[None] = storage.locked(self.folder / LOCK, busy)
        self._lock.__enter__()
        try:
            self.check()
            text = json.dumps(self._settings, indent=1, ensure_ascii=False) + "\n"
            storage.write_bytes(self.folder / SETTINGS, text.encode(**_TEXT))
            self._mend()
            self._recall()
            self._file = open(self.folder / NAME, "a", **_TEXT)
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with storage.naming(self.folder / NAME):
                self._file.close()  # tries again to write what did not fit
        finally:
            self._lock.__exit__(kind, error, trace)

    def add(self, line: Mapping[str, Any]) -> None:
        """Say that a picture is done: its files are written."""
        with storage.naming(self.folder / NAME):
            at = self._file.tell()
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        self._keep(line, at)

    def has(self, item: Item) -> bool:
        """Whether the picture, not its name alone, is done: False for one that has to be fetched
        to know it, and for videos, of which the frames are asked.

        Raises ValueError if another picture has its place, and does not take it.
        """
        before = self._sources.get(sources.path_of(item))
        if before is None:
            return False
        same = sources.is_same(before, item)
        if same is False and not (self._replaces and sources.is_replaceable(before, item)):
            raise ValueError(
                f"{json.dumps(item.name, ensure_ascii=False)} is not what it was when its result "
                f"in {self.folder} was written: give another {self._flag}"
            )
        if not same or (item.is_video and item.content is None):
            return False
        return _identity(sources.path_of(item), item.source) in self.done

    def has_changed(self, item: Item) -> bool:
        """Whether the picture is known not to be the one that was looked at under its name."""
        before = self._sources.get(sources.path_of(item))
        return before is not None and sources.is_same(before, item) is False

    def before(self, item: Item) -> dict[str, Any] | None:
        """The line of a picture that is done, or was before it changed."""
        at = self._at.get(_identity(sources.path_of(item), item.source))
        if at is None:
            return None
        with open(self.folder / NAME, "rb") as file:
            file.seek(at)
            return dict(json.loads(file.readline()))

    def settle(self, replaced: Callable[[Mapping[str, Any], Mapping[str, Any]], None]) -> None:
        """Put each line of a picture that was looked at again into the place of the old one.

        A run that is killed before leaves both lines, and the next one calls this.

        Args:
            replaced: is told of the old line and of the new one while both are there.
        """
        if not self._has_replaced:
            return
        newest: dict[str, Mapping[str, Any]] = {}
        seen: set[str] = set()
        for line in self.lines():
            key = _identity(line["source"]["path"], line["source"])
            if key in seen:
                newest[key] = line
            seen.add(key)
        self._file.close()
        with (
            storage.written_whole(self.folder / NAME) as temporary,
            open(temporary, "w", **_TEXT) as file,
        ):
            for line in self.lines():
                key = _identity(line["source"]["path"], line["source"])
                if key not in seen:
                    continue  # its line stands where the first one was
                seen.discard(key)
                new = newest.get(key, line)
                if new is not line:
                    replaced(line, new)
                file.write(json.dumps(new, ensure_ascii=False) + "\n")
        self._recall()
        self._file = open(self.folder / NAME, "a", **_TEXT)  # noqa: SIM115  # `__exit__` closes it

    def _recall(self) -> None:
        self.done, self._sources, self._at, self._has_replaced = {}, {}, {}, False
        for number, (at, line) in enumerate(self._placed(), start=1):
            if not isinstance(line.get("source"), dict):
                raise ValueError(
                    f"{self.folder / NAME}: line {number} has no `source`, which tells whether a "
                    f"picture changed (earlier versions wrote none): give another {self._flag}"
                )
            self._keep(line, at)

    def _keep(self, line: Mapping[str, Any], at: int) -> None:
        source = line["source"]
        key = _identity(source["path"], source)
        self._has_replaced |= key in self.done
        self._sources[source["path"]] = source
        self.done[key], self._at[key] = line["file"], at

    def lines(self) -> Iterator[dict[str, Any]]:
        """What is done, in the order in which it was done."""
        return (line for _, line in self._placed())

    def _placed(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each line, and where it begins, in bytes."""
        path = self.folder / NAME
        if not path.is_file():
            return
        at = 0
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    content = json.loads(line)
                    _ = content["image"], content["file"], content["detections"]
                except (ValueError, KeyError, TypeError) as error:
                    raise ValueError(
                        f"{path}: line {number} was changed and cannot be read: restore it, or "
                        f"give another {self._flag}"
                    ) from error
                yield at, content
                at += len(line)

    def publish(self, name: str, parts: Iterator[str]) -> None:
        """Write a file about all pictures, whole or not at all.

        Raises ValueError if somebody changed the one that was written before: it stays.
        """
        target, before = self.folder / name, self._written()
        self._require_ours(target, before)
        with storage.written_whole(target) as temporary:
            with open(temporary, "w", newline="", **_TEXT) as file:
                file.writelines(parts)
            # Said first: a run that is killed in between finds its own file, or none.
            known = [*before.get(name, []), storage.sha256(temporary)]
            storage.write_text(self.folder / WRITTEN, json.dumps({**before, name: known}))

    def require_ours(self, names: list[str]) -> None:
        """Raise ValueError if one of the files about all pictures was changed since."""
        before = self._written()
        for name in names:
            self._require_ours(self.folder / name, before)

    def _require_ours(self, target: Path, before: Mapping[str, list[str]]) -> None:
        name = target.relative_to(self.folder).as_posix()
        if target.is_file() and storage.sha256(target) not in before.get(name, []):
            raise ValueError(
                f"{target} was changed since it was written, and would be lost: give another "
                f"{self._flag}, or move the file away"
            )

    def _written(self) -> dict[str, list[str]]:
        path = self.folder / WRITTEN
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

    def _mend(self) -> None:
        """Take off what a killed process wrote of its last line."""
        path = self.folder / NAME
        if not path.is_file():
            return
        with open(path, "r+b") as file:
            size = end = file.seek(0, os.SEEK_END)
            while end > 0:
                begin = max(0, end - 65536)
                file.seek(begin)
                at = file.read(end - begin).rfind(b"\n")
                if at >= 0:
                    end = begin + at + 1
                    break
                end = begin
            if end < size:
                file.truncate(end)


def _identity(path: str, source: Mapping[str, Any] | None) -> str:
    frame = (source or {}).get("frame")
    return path if frame is None else f"{path}#{frame}"


def digest_of(content: object) -> str:
    """A short name for settings that are too long to show."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
