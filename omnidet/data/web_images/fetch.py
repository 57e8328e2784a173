"""Lists of URLs and captions -> WebDataset tars of the pictures that are still there.

    url_lists ──rows──▶ shard.harvest (several processes) ──spool, hashes──▶ near copies left out
                                                                                     │
                        NNNNNN.tar, quarantine/, stats/ ◀── shard.write_tar ◀────────┘

A shard is complete when its `stats/NNNNNN.json` exists, which is written last. A run that was
killed resumes with the shards that are not complete. Does not import torch.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from omnidet import storage
from omnidet.data.reading import url_lists
from omnidet.data.reading.perceptual_hash import NearCopies
from omnidet.data.reading.url_lists import SeenUrls, UrlRow
from omnidet.data.web_images import report, settings, shard
from omnidet.data.web_images.fetcher import NOT_ASKED, NOT_REACHED
from omnidet.data.web_images.settings import Options


def fetch_images(
    lists: Path,
    out: Path,
    options: Options | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Fetch every picture of the lists into a folder. Returns the content of its `report.json`.

    Raises ValueError for wrong input, FileNotFoundError if there are no lists, and OSError if a
    process was killed or the network is down.

    Args:
        progress: called with the number of further rows that are done.
    """
    options = options or Options()
    settings.check(options)
    paths = url_lists.find(lists)
    url_lists.require_rows(paths, options.digest_column)
    wanted = settings.as_dict(paths, options)
    settings.prepare(out, wanted)
    busy = (
        f"another process is fetching part {options.part} into {out}: "
        "wait for it, or give another part"
    )
    with settings.locked(out, options.part, busy):
        work = out / settings.WORK_NAME / f"{options.part}"
        settings.require_same(out, wanted, options.part)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for name in ("stats", "quarantine"):
            (out / name).mkdir(exist_ok=True)
        _FetchRun(out, work, options, progress).fetch_all(paths)
        shutil.rmtree(work)
    return report.write_report(out)


class _FetchRun:
    """One run of `fetch_images`."""

    def __init__(
        self, out: Path, work: Path, options: Options, progress: Callable[[int], None]
    ) -> None:
        self.out, self.work, self.options, self.progress = out, work, options, progress
        self.copies = NearCopies()
        self.under_way: dict[Future[Any], _ShardRun] = {}
        self.network_problem = ""
        """If not empty, no further shard is begun."""

    def fetch_all(self, paths: Sequence[Path]) -> None:
        finished = self._finished()
        context = multiprocessing.get_context("spawn")
        stop = context.Event()
        with ProcessPoolExecutor(
            self.options.workers,
            context,
            initializer=shard.begin_process,
            initargs=(os.getpid(), stop),
        ) as pool:
            try:
                for one in self._shards(paths, finished):
                    one.begin(pool)
                    # One shard more than there are processes, so that none has to wait.
                    while len(self.under_way) > self.options.workers:
                        self._advance(pool)
                    if self.network_problem:
                        break
                while self.under_way:  # what was fetched is written, even if the network is down
                    self._advance(pool)
            except BrokenProcessPool as error:
                raise OSError(
                    "a process was killed, perhaps because memory ran out: "
                    "run again to resume, with fewer --workers"
                ) from error
            except BaseException:
                stop.set()
                raise
        if self.network_problem:
            raise ConnectionError(self.network_problem)

    def _finished(self) -> set[int]:
        """Numbers of the complete shards, whose pictures count as seen."""
        found = set()
        for path, stats in report.shard_stats(self.out):
            tar = self.out / f"{path.stem}.tar"
            if stats["kept"] == 0 or (tar.is_file() and tar.stat().st_size == stats["size_bytes"]):
                found.add(int(path.stem))
                for value in stats["hashes"]:
                    self.copies.add(int(value, 16))
            else:
                path.unlink()
        return found

    def _shards(self, paths: Sequence[Path], finished: set[int]) -> Iterator[_ShardRun]:
        """The shards that this run has to fetch."""
        seen = SeenUrls()
        rows_of = url_lists.chunks(paths, self.options.rows_per_shard, self.options.digest_column)
        for number, rows in enumerate(rows_of):
            problems = [_problem(row, seen) for row in rows]
            if number in finished or number % self.options.parts != self.options.part:
                self.progress(len(rows))
                continue
            pairs = list(zip(rows, problems, strict=True))
            wanted = tuple(row for row, problem in pairs if not problem)
            refused = [(row, problem) for row, problem in pairs if problem]
            yield _ShardRun(self, number, wanted, refused)

    def _advance(self, pool: ProcessPoolExecutor) -> None:
        """Wait until a process is done and give it the next task."""
        for future in wait(self.under_way, return_when=FIRST_COMPLETED).done:
            self.under_way.pop(future).proceed(future.result(), pool)


def _problem(row: UrlRow, seen: SeenUrls) -> str:
    if not row.url:
        return "empty URL"
    if not row.caption:
        return "empty caption"
    return "" if seen.add(row.url) else "duplicate URL"


def _network_problem(result: shard.Harvest) -> str:
    """A message if a shard was fetched without a network, else "".

    The shard would count as complete, be empty, and never be fetched again.
    """
    reasons = shard.reasons(result.refused)
    unreachable = {reason: count for reason, count in reasons.items() if reason in NOT_REACHED}
    if not unreachable or result.found or reasons.keys() - {*NOT_REACHED, *NOT_ASKED}:
        return ""
    counts = ", ".join(f"{reason}: {count}" for reason, count in unreachable.items())
    return (
        f"the network seems to be down: nothing in shard {result.number} could be reached "
        f"({counts}): run again to resume, or with --dead-links if the network is up"
    )


class _ShardRun:
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
        self.found: list[shard.FetchedPicture] = []
        self.seconds = 0.0

    def begin(self, pool: ProcessPoolExecutor) -> None:
        options = self.run.options
        task = shard.Task(self.number, self.rows, str(self.spool), options.manners, options.taste)
        self.run.under_way[pool.submit(shard.harvest, task)] = self

    def proceed(self, result: shard.Harvest | str, pool: ProcessPoolExecutor) -> None:
        """Take a result: what was fetched, or the SHA-256 of the tar that was written."""
        if isinstance(result, str):
            self._publish(sha256=result)
            return
        problem = "" if self.run.options.dead_links else _network_problem(result)
        if problem:
            self.run.network_problem = problem
            return
        self.seconds = result.seconds
        self.refused += result.refused
        for found in result.found:
            if not self.run.options.near_copies or self.run.copies.add(found.picture.hash):
                self.found.append(found)
            else:
                self.refused.append((found.row, "near copy of an earlier picture"))
        future = pool.submit(shard.write_tar, str(self.spool), self.found, str(self.tar))
        self.run.under_way[future] = self

    def _publish(self, sha256: str) -> None:
        """Move the tar into place and, last of all, record that the shard is complete."""
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
            "reasons": shard.reasons(self.refused),
            "hashes": [f"{found.picture.hash:016x}" for found in self.found],
        }
        storage.write_text(out / "stats" / f"{name}.json", json.dumps(stats, indent=1) + "\n")
        self.spool.unlink()
        self.tar.unlink(missing_ok=True)
        self.run.progress(rows)
