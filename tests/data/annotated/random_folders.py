"""Random annotated folders in random layouts, formats and dirt: read right, or refused.

python -m tests.data.annotated.random_folders 10000   # prints what was silently wrong; exit code 1
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from omnidet.data.annotated import cut, write
from omnidet.data.annotated.read import Annotated, read
from omnidet.data.folder_formats.folder import SPLITS
from omnidet.data.reading.quarantine import Quarantine, clean
from omnidet.data.sources import annotated
from tests.data.annotated.random_dirt import DIRT
from tests.data.annotated.random_layout import Made, lay_out


def make(root: Path, seed: object) -> Made:
    """Draw and write one folder, and soil it."""
    made = lay_out(root, seed)
    chosen = made.draw.sample(DIRT, made.draw.choice((0, 1, 1, 2)))
    for dirty in sorted(chosen, key=DIRT.index):
        dirty(made)
    return made


def problems(made: Made, out: Path) -> list[str] | None:
    """What is silently wrong with the folder as read and written; None where it is refused."""
    try:
        found = read(made.root, made.config)
    except ValueError as error:
        said = str(error)
        is_clear = str(made.root) in said and "\n" not in said
        return None if is_clear else [f"no file is named, or it is not one line: {said}"]
    wrong = made.truth.problems(found)
    tally = found.account.tallies["boxes"]
    if made.is_countable and tally.read != made.num_rows:
        wrong.append(f"{made.num_rows} boxes are in the files, {tally.read} in the account")
    wrong += _wrong_splits(made, found)
    try:
        write.write(cut.cut(found), out, "1")
    except ValueError as error:
        return wrong + ([] if str(made.root) in str(error) else [f"no file is named: {error}"])
    return wrong + _wrong_records(made, found, out)


def _wrong_splits(made: Made, found: Annotated) -> list[str]:
    """Pictures in another split than their folders or files say."""
    if "copies" in made.dirt or "links" in made.dirt or not made.has_splits:
        return []
    splits = {
        made.pictures[number]: SPLITS[scene.split.rstrip("0123456789")]
        for number, scene in enumerate(made.scenes)
    }
    return [
        f"{picture.path} is in {split!r}, not {splits[picture.path]!r}"
        for split, members in found.splits.items()
        for picture in members
        if picture.path in splits and splits[picture.path] != split
    ]


def _wrong_records(made: Made, found: Annotated, out: Path) -> list[str]:
    """Records, as training gets them, that say what is not so."""
    wrong = []
    things = {
        f"annotated:{int.from_bytes(digest[:6], 'big')}": shown
        for digest, shown in made.truth.things.items()
    }
    for split in write.SPLITS:
        quarantine = Quarantine()
        for record in annotated.read(str(out), split, quarantine):
            if clean(record, quarantine, decode=True) is None or quarantine.lines:
                wrong.append(f"the shard build refuses what was read: {quarantine.lines}")
            shown = {thing.name for thing in things[record.image_id]}
            absent = shown & set(record.absent)
            if absent:
                wrong.append(f"{record.image_id}: {absent} are there, and said to be absent")
    return wrong


def check(seed: object) -> tuple[Made, list[str] | None]:
    """Make a folder and judge what is read of it."""
    with tempfile.TemporaryDirectory(prefix="folders-") as temporary:
        root, out = Path(temporary, "data"), Path(temporary, "out")
        root.mkdir()
        out.mkdir()
        made = make(root, seed)
        return made, problems(made, out)


def main() -> int:
    parser = argparse.ArgumentParser(description="Random annotated folders, read and judged.")
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    outcomes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for seed in range(options.first, options.first + options.count):
        made, wrong = check(seed)
        outcome = "refused" if wrong is None else "silently wrong" if wrong else "right"
        outcomes[outcome] += 1
        kinds[f"{made.kind}: {outcome}"] += 1
        if wrong:
            print(f"seed {seed} ({made.kind}; {', '.join(made.dirt)}): {wrong[:2]}", flush=True)
    print(dict(outcomes), dict(sorted(kinds.items())))
    return 1 if outcomes["silently wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
