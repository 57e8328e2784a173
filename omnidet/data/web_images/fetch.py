"""Lists of addresses and captions -> WebDataset tars of the pictures that still answer, with what became of every row.

    url_lists ──rows──▶ web_shards (several processes) ──spool, hashes──▶ near copies left out ──▶ 000000.tar, ...

A shard is whole when its `stats/NNNNNN.json` is there, which is written last: a killed run goes on with the shards that have
none. Imports no torch.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnidet import storage
from omnidet.data.reading import url_lists
from omnidet.data.reading.perceptual_hash import NearCopies
from omnidet.data.reading.url_lists import SeenUrls, UrlRow
from omnidet.data.web_images import shard as web_shards
from omnidet.data.web_images.checks import Taste
from omnidet.data.web_images.fetcher import NOT_ASKED, NOT_REACHED, Manners

SETTINGS_NAME = "fetch.json"
REPORT_NAME = "report.json"
SCHEMA_VERSION = 1
STATS_FIELDS = {"rows": int, "kept": int, "size_bytes": int, "reasons": dict, "hashes": list}
SHARD_AGAIN = "remove it, and its shard is fetched again"


@dataclass(frozen=True)
class Options:
    """How pictures are fetched."""

    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Processes."""
    rows_per_shard: int = 5000
    part: int = 0
    parts: int = 1
    """This run takes every shard whose number leaves `part` when divided by `parts`: several machines share a list."""
    digest_column: str = ""
    """Column with the hash of each picture, as the list's makers saw it; others are refused (poisoned links)."""
    near_copies: bool = True
    """Leave out pictures that look like an earlier one."""
    dead_links: bool = False
    """Take a shard none of whose hosts can be reached for one of dead links; else the network is taken to be away."""
    manners: Manners = field(default_factory=Manners)
    taste: Taste = field(default_factory=Taste)


def fetch_images(
    lists: Path,
    out: Path,
    options: Options | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Fetch every picture of the lists into a folder; returns the report, which stands in `report.json` too.

    Raises ValueError for what a person must mend, FileNotFoundError without lists, OSError if a process was killed or
    the network is away.

    Args:
        progress: called with the number of further rows that are done.
    """
    options = options or Options()
    _check(options)
    paths = url_lists.find(lists)
    url_lists.require_rows(paths, options.digest_column)
    settings = _settings(paths, options)
    _prepare(out, settings)
    (out / ".work").mkdir(exist_ok=True)
    busy = f"another process fetches into {out}: wait for it, or give another part"
    with storage.locked(out / ".work" / f"lock-{options.part}", busy):
        work = out / ".work" / f"{options.part}"
        _require_same(out, settings, options.part)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for name in ("stats", "quarantine"):
            (out / name).mkdir(exist_ok=True)
        _FetchRun(out, work, options, progress).all(paths)
        shutil.rmtree(work)
    return write_report(out)


def write_report(out: Path) -> dict[str, Any]:
    """What all shards together gave: written to `report.json`."""
    counts = Counter(
        {"shards": 0, "rows": 0, "kept": 0, "bytes": 0}
    )  # of many parts one may have no shard
    reasons: Counter[str] = Counter()
    for path in sorted((out / "stats").glob("*.json")):
        stats = _read(path, STATS_FIELDS, SHARD_AGAIN)
        counts.update(
            {
                "shards": 1,
                "rows": stats["rows"],
                "kept": stats["kept"],
                "bytes": stats["size_bytes"],
            }
        )
        reasons.update(stats["reasons"])
    report = {
        **counts,
        "kept_share": round(counts["kept"] / max(1, counts["rows"]), 4),
        "refused": dict(reasons.most_common()),
    }
    storage.write_text(out / REPORT_NAME, json.dumps(report, indent=1) + "\n")
    return report


def _read(path: Path, fields: Mapping[str, type], remedy: str) -> dict[str, Any]:
    """What stands in a file of ours. ValueError where it lacks a field."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        wrong = [name for name, kind in fields.items() if not isinstance(content[name], kind)]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}): {remedy}"
        ) from error
    if wrong:
        raise ValueError(f"{path} is damaged ({wrong[0]}: {content[wrong[0]]!r:.40}): {remedy}")
    return dict(content)


def describe(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"{report['kept']} of {report['rows']} pictures in {report['shards']} shards ({report['kept_share']:.1%})"
    ]
    return "\n".join(
        [*lines, *(f"  {count:8}  {reason}" for reason, count in report["refused"].items())]
    )


def _check(options: Options) -> None:
    if options.rows_per_shard < 1 or options.workers < 1:
        raise ValueError(
            f"{options.rows_per_shard} rows a shard and {options.workers} workers: give 1 or more of each"
        )
    if not 0 <= options.part < options.parts:
        raise ValueError(
            f"part {options.part} of {options.parts} does not exist: parts are numbered from 0"
        )


def _settings(paths: Sequence[Path], options: Options) -> dict[str, Any]:
    """What decides the content of the shards."""
    return {
        "schema_version": SCHEMA_VERSION,
        "lists": [path.name for path in paths],
        "fingerprint": url_lists.fingerprint(paths),
        "rows_per_shard": options.rows_per_shard,
        "parts": options.parts,
        "digest_column": options.digest_column,
        "near_copies": options.near_copies,
        "taste": dataclasses.asdict(options.taste),
    }


def _prepare(out: Path, settings: dict[str, Any]) -> None:
    """Make the folder, unless it is one already."""
    storage.require_replaceable(out, SETTINGS_NAME)
    out.mkdir(parents=True, exist_ok=True)
    storage.write_bytes_if_absent(
        out / SETTINGS_NAME, (json.dumps(settings, indent=1) + "\n").encode()
    )


def _require_same(out: Path, settings: dict[str, Any], part: int) -> None:
    """Check that the folder is of the same lists and settings: else its shards would not fit together.

    One without a shard takes the new ones. Called with the lock of this part.
    """
    path = out / SETTINGS_NAME
    before = _read(path, {"parts": int}, "give a new folder")
    changed = [name for name in settings if settings[name] != before.get(name)]
    if not changed:
        return
    name = changed[0]
    problem = f"{out} was begun with other settings ({name} {before.get(name)!r}, now {settings[name]!r}): give a new folder"
    with ExitStack() as held:
        for other in {*range(before["parts"])} - {
            part
        }:  # none of those that began it may be at work
            held.enter_context(storage.locked(out / ".work" / f"lock-{other}", problem))
        if any(
            made for pattern in ("*.tar", "stats/*", "quarantine/*") for made in out.glob(pattern)
        ):
            raise ValueError(problem)
        storage.write_text(path, json.dumps(settings, indent=1) + "\n")


class _FetchRun:
    """One run of `fetch_images`."""

    def __init__(
        self, out: Path, work: Path, options: Options, progress: Callable[[int], None]
    ) -> None:
        self.out, self.work, self.options, self.progress = out, work, options, progress
        self.copies = NearCopies()
        self.begun: dict[Future[Any], _Shard] = {}
        self.away = ""
        """Why no further shard is begun."""

    def all(self, paths: Sequence[Path]) -> None:
        finished = self._finished()
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            self.options.workers,
            context,
            initializer=web_shards.begin_process,
            initargs=(os.getpid(),),
        ) as pool:
            try:
                for shard in self._shards(paths, finished):
                    shard.begin(pool)
                    while (
                        len(self.begun) > self.options.workers
                    ):  # one more than works, so that nobody waits
                        self._advance(pool)
                    if self.away:
                        break
                while self.begun:  # without a network too: what was fetched is written
                    self._advance(pool)
            except BrokenProcessPool as error:
                raise OSError(
                    "a process was killed, perhaps for want of memory: run again to go on, with fewer --workers"
                ) from error
            except BaseException:
                for process in list(
                    pool._processes.values()
                ):  # nothing public ends them before their shard is done
                    process.terminate()
                raise
        if self.away:
            raise ConnectionError(self.away)

    def _finished(self) -> set[int]:
        """Numbers of the shards that are whole; their pictures are remembered."""
        found = set()
        for path in sorted((self.out / "stats").glob("*.json")):
            stats = _read(path, STATS_FIELDS, SHARD_AGAIN)
            tar = self.out / f"{path.stem}.tar"
            if stats["kept"] == 0 or (tar.is_file() and tar.stat().st_size == stats["size_bytes"]):
                found.add(int(path.stem))
                for value in stats["hashes"]:
                    self.copies.add(int(value, 16))
            else:
                path.unlink()
        return found

    def _shards(self, paths: Sequence[Path], finished: set[int]) -> Iterator[_Shard]:
        """The shards that are to be fetched."""
        seen = SeenUrls()
        rows_of = url_lists.chunks(paths, self.options.rows_per_shard, self.options.digest_column)
        for number, rows in enumerate(rows_of):
            refused = {row.number: _unusable(row, seen) for row in rows}
            if number in finished or number % self.options.parts != self.options.part:
                self.progress(len(rows))
                continue
            wanted = tuple(row for row in rows if not refused[row.number])
            yield _Shard(
                self,
                number,
                wanted,
                [(row, refused[row.number]) for row in rows if refused[row.number]],
            )

    def _advance(self, pool: ProcessPoolExecutor) -> None:
        """Wait for a process and give it its next work."""
        for future in wait(self.begun, return_when=FIRST_COMPLETED).done:
            self.begun.pop(future).go_on(future.result(), pool)


def _unusable(row: UrlRow, seen: SeenUrls) -> str:
    if not row.url:
        return "empty address"
    if not row.caption:
        return "empty caption"
    return "" if seen.add(row.url) else "duplicate address"


def _network_away(result: web_shards.Harvest) -> str:
    """What to say of a shard that was fetched without a network, or "": it would be whole, empty, and never fetched again."""
    reasons = web_shards.reasons(result.refused)
    away = {reason: count for reason, count in reasons.items() if reason in NOT_REACHED}
    if not away or result.found or reasons.keys() - {*NOT_REACHED, *NOT_ASKED}:
        return ""
    told = ", ".join(f"{reason}: {count}" for reason, count in away.items())
    return (
        f"the network seems to be away: nothing in shard {result.number} could be reached ({told}): "
        "run again to go on, or with --dead-links if the network is there"
    )


class _Shard:
    """A shard on its way: fetched, then freed of near copies and written, then published."""

    def __init__(
        self,
        run: _FetchRun,
        number: int,
        rows: tuple[UrlRow, ...],
        refused: list[tuple[UrlRow, str]],
    ) -> None:
        self.run, self.number, self.rows, self.refused = run, number, rows, refused
        self.spool = run.work / f"{number:06d}.spool"
        self.tar = run.work / f"{number:06d}.tar"
        self.found: list[web_shards.FetchedPicture] = []
        self.seconds = 0.0

    def begin(self, pool: ProcessPoolExecutor) -> None:
        task = web_shards.Task(
            self.number,
            self.rows,
            str(self.spool),
            self.run.options.manners,
            self.run.options.taste,
        )
        self.run.begun[pool.submit(web_shards.harvest, task)] = self

    def go_on(self, result: web_shards.Harvest | str, pool: ProcessPoolExecutor) -> None:
        if isinstance(result, str):
            self._publish(sha256=result)
            return
        away = "" if self.run.options.dead_links else _network_away(result)
        if away:
            self.run.away = away
            return
        self.seconds = result.seconds
        self.refused += result.refused
        for thing in result.found:
            if not self.run.options.near_copies or self.run.copies.add(thing.picture.hash):
                self.found.append(thing)
            else:
                self.refused.append((thing.row, "near copy of an earlier picture"))
        future = pool.submit(web_shards.write_tar, str(self.spool), self.found, str(self.tar))
        self.run.begun[future] = self

    def _publish(self, sha256: str) -> None:
        """Move the tar into place, and say last that the shard is whole."""
        out, name = self.run.out, f"{self.number:06d}"
        size = self.tar.stat().st_size if self.found else 0
        if self.found:
            self.tar.replace(out / f"{name}.tar")
        self.refused.sort(key=lambda pair: pair[0].number)
        lines = [
            {"row": row.number, "url": row.url, "reason": reason} for row, reason in self.refused
        ]
        storage.write_text(
            out / "quarantine" / f"{name}.jsonl",
            "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines),
        )
        rows = len(self.found) + len(self.refused)
        stats = {
            "shard": self.number,
            "rows": rows,
            "kept": len(self.found),
            "size_bytes": size,
            "sha256": sha256 if self.found else "",
            "seconds": round(self.seconds, 2),
            "rows_per_second": round(rows / max(self.seconds, 1e-6), 1),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "reasons": web_shards.reasons(self.refused),
            "hashes": [f"{thing.picture.hash:016x}" for thing in self.found],
        }
        storage.write_text(out / "stats" / f"{name}.json", json.dumps(stats, indent=1) + "\n")
        self.spool.unlink()
        self.tar.unlink(missing_ok=True)
        self.run.progress(rows)
