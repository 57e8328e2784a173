"""What became of the rows of a list: the shards' `stats/NNNNNN.json` -> `report.json`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omnidet import storage

REPORT_NAME = "report.json"
_FIELDS = {"rows": int, "kept": int, "size_bytes": int, "reasons": dict, "hashes": list}
_REMEDY = "remove it, and its shard is fetched again"


def write_report(out: Path) -> dict[str, Any]:
    """Sum up all shards of a folder and write `report.json`."""
    counts = Counter({"shards": 0, "rows": 0, "kept": 0, "bytes": 0})
    reasons: Counter[str] = Counter()
    for _, stats in shard_stats(out):
        counts.update(shards=1, rows=stats["rows"], kept=stats["kept"], bytes=stats["size_bytes"])
        reasons.update(stats["reasons"])
    report = {
        **counts,
        "kept_share": round(counts["kept"] / max(1, counts["rows"]), 4),
        "refused": dict(reasons.most_common()),
    }
    storage.write_text(out / REPORT_NAME, json.dumps(report, indent=1) + "\n")
    return report


def describe(report: Mapping[str, Any]) -> str:
    """The report as text."""
    kept, rows, shards = report["kept"], report["rows"], report["shards"]
    lines = [f"{kept} of {rows} pictures in {shards} shards ({report['kept_share']:.1%})"]
    lines += [f"  {count:8}  {reason}" for reason, count in report["refused"].items()]
    return "\n".join(lines)


def shard_stats(out: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The file of each finished shard and its content. Raises ValueError for a damaged one."""
    for path in sorted((out / "stats").glob("*.json")):
        yield path, read_checked(path, _FIELDS, _REMEDY)


def read_checked(path: Path, fields: Mapping[str, type], remedy: str) -> dict[str, Any]:
    """The content of a JSON file. Raises ValueError if a field is missing or of another type."""
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
