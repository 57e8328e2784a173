"""Mutated bytes for every reader, many thousand files in one process.

    python -m tests.data.mutations --bytes 1000000    # prints wrong behaviour; exit code 1

The only outcomes allowed are a ValueError or FileNotFoundError that names the file, and quarantined
records. Other exceptions, crashes, hangs, gigabytes of memory, new processes, connections, and
writes outside the folder are wrong.
"""

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import json
import pickle
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.data.readers import READERS, Reader

SECONDS_PER_FILE = 20
MEMORY_BYTES = 6 << 30
"""Limit of the address space. Beyond it is a MemoryError, which no reader may let through."""
FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
)
ODD_NUMBERS = (
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"-0.0",
    b"9" * 30,
    b"9" * 5000,
    b"1.5",
    b"2147483648",
    b"18446744073709551616",
)
ODD_TEXTS = (
    b'"',
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"{}",
    b"[]",
    b"null",
    b"true",
    b"[" * 3000,
    b"../../x",
    b"\n",
    b"%s{0}",
    b"&a;",
)
ODD_VALUES = (
    None,
    True,
    -1,
    0,
    1.5,
    1e999,
    10**30,
    "",
    "x",
    "\ud800",
    "../x",
    "a\nb",
    [],
    [[]],
    {},
    [None],
    {"id": []},
    [1, 2, 3, 4],
)


def mutated(content: bytes, kind: str, draw: random.Random) -> tuple[bytes, int]:
    """The content with some of it changed, and how many bytes differ."""
    values = draw.random() < 0.4
    if values and kind == ".json":
        return _other_value(json.loads(content), draw, lambda value: json.dumps(value).encode())
    if values and kind == ".p":
        return _other_value(pickle.loads(content), draw, lambda value: pickle.dumps(value, 2))
    changed = bytearray(content)
    count = 0
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        place, how = draw.randrange(len(changed) + 1), draw.random()
        length = draw.choice((1, 1, 2, 4, 8, 40))
        if how < 0.35:
            new = draw.randbytes(min(length, len(changed) - place))
            changed[place : place + length] = new
        elif how < 0.5 and place < len(changed):
            new = bytes([changed[place] ^ (1 << draw.randrange(8))])
            changed[place : place + 1] = new
        elif how < 0.6:
            new = b"x" * len(changed[place : place + length])
            del changed[place : place + length]
        elif how < 0.7:
            new = bytes(changed[place : place + length]) * draw.choice((1, 3, 50))
            changed[place:place] = new
        elif how < 0.85:
            new, number = (
                draw.choice(ODD_NUMBERS),
                next(re.compile(rb"\d+").finditer(changed, place), None),
            )
            changed[slice(*number.span()) if number else slice(place, place)] = new
        else:
            new = draw.choice(ODD_TEXTS)
            changed[place : place + draw.choice((0, 1, length))] = new
        count += min(len(new), 40)  # a thousand brackets count as one idea
    return bytes(changed), max(count, 1)


def _other_value(
    value: Any, draw: random.Random, dump: Callable[[Any], bytes]
) -> tuple[bytes, int]:
    """The value with one part of it replaced, removed or doubled."""
    here = value
    while True:
        keys: list[Any] = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            break
        key = draw.choice(keys)
        if isinstance(here[key], dict | list) and here[key] and draw.random() < 0.85:
            here = here[key]
            continue
        how = draw.random()
        if how < 0.1:
            del here[key]
        elif how < 0.2 and isinstance(here, list):
            here.append(here[key])
        else:
            here[key] = draw.choice(ODD_VALUES)
        break
    return dump(value), 8


class Watch:
    """Notices, through the interpreter's audit hook, what no reader may do."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.is_on = str(folder), False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        writes = (
            event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        )
        outside = (
            writes
            and isinstance(arguments[0], str | bytes)
            and self.folder not in str(arguments[0])
        )
        if event.startswith(FORBIDDEN) or outside:
            self.seen.append(f"{event} {str(arguments)[:200]}")


@dataclasses.dataclass
class Run:
    """What is the same for all readers, and what went wrong."""

    seed: int
    watch: Watch
    wrong: dict[str, str] = dataclasses.field(default_factory=dict)
    """A line for each kind of wrong behaviour."""

    def record(self, problem: str, place: str) -> None:
        kind = re.sub(r"[0-9]+|'[^']*'", "", problem)[:90]
        self.wrong.setdefault(kind, f"{problem} ({place})")


def mutate_all(num_bytes: int, seed: int, only: str = "") -> list[str]:
    """Mutate so many bytes, shared by the readers. Returns a line for each wrong behaviour."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, _give_up)
    readers = [reader for reader in READERS if only in reader.name]
    with tempfile.TemporaryDirectory(prefix="mutations-") as temporary:
        folder = Path(temporary).resolve()
        run = Run(seed, Watch(folder))
        for number, reader in enumerate(readers):
            begin = time.monotonic()
            root = folder / str(number) / "data"
            root.mkdir(parents=True)
            split = reader.write(root)
            assert reader.read(root, split) > 0, reader.name
            _remove_others(root)
            outcomes = _mutate(run, reader, root, split, num_bytes // len(readers))
            counts = ", ".join(f"{count} {what}" for what, count in outcomes.most_common())
            print(f"{reader.name:32} {time.monotonic() - begin:6.1f} s: {counts}", flush=True)
    return list(run.wrong.values())


def _mutate(run: Run, reader: Reader, root: Path, split: Any, num_bytes: int) -> Counter[str]:
    """Mutate so many bytes of a reader's files, one file at a time."""
    files = [path for path in sorted(root.rglob(reader.files)) if path.is_file()]
    # Libraries decode images. Files that our own code reads are mutated more often.
    weights = [1 if path.suffix in (".jpg", ".png") else 8 for path in files]
    outcomes: Counter[str] = Counter()
    seed = f"{run.seed} {reader.name}"
    while outcomes["bytes"] < num_bytes:
        draw = random.Random(f"{seed} {outcomes['files']}")
        outcomes["files"] += 1
        path = draw.choices(files, weights)[0]
        original = path.read_bytes()
        content, count = mutated(original, path.suffix, draw)
        outcomes["bytes"] += count
        path.write_bytes(content)
        try:
            outcome, problems = _outcome(run.watch, reader, root, split)
        finally:
            path.write_bytes(original)
        outcomes[outcome] += 1
        for problem in problems:
            run.record(f"{reader.name}: {problem}", f"seed {seed!r}, file {outcomes['files']}")
        _remove_others(root)
    return outcomes


def _outcome(watch: Watch, reader: Reader, root: Path, split: Any) -> tuple[str, list[str]]:
    """What reading led to, and what was wrong about it."""
    outcome, problems = "refused", []
    watch.is_on = True
    signal.alarm(SECONDS_PER_FILE)
    try:
        outcome = "sound" if reader.read(root, split) else "nothing left"
    except (ValueError, FileNotFoundError) as error:
        if str(root.parent) not in str(error):
            problems.append(f"does not name the file: {type(error).__name__}: {error}"[:300])
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # any other exception is a finding
        outcome = "WRONG"
        frames = reversed(traceback.extract_tb(error.__traceback__)[-3:])
        place = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
        problems.append(f"{type(error).__name__}: {str(error)[:150]} at {place}")
    finally:
        signal.alarm(0)
        watch.is_on = False
    problems += watch.seen
    watch.seen.clear()
    return outcome, problems


def _remove_others(root: Path) -> None:
    """Remove what a reader wrote next to the files."""
    for path in root.parent.iterdir():
        if path != root:
            shutil.rmtree(path)


def _give_up(*_: Any) -> None:
    raise TimeoutError(f"takes more than {SECONDS_PER_FILE} seconds")


def main() -> int:
    parser = argparse.ArgumentParser(description="Every reader on mutated files.")
    parser.add_argument("--bytes", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="readers whose name contains this")
    options = parser.parse_args()
    wrong = mutate_all(options.bytes, options.seed, options.only)
    print("\n".join(wrong) or "nothing wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
