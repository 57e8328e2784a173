"""What the UI of Kubeflow Pipelines shows: small files that repeat what the run's folder holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from omnidet import storage
from omnidet.evaluation.metric_names import is_lower_better
from omnidet.registry.versions import Version


@dataclass(frozen=True)
class Shown:
    """Local files for the artifacts of an evaluation."""

    metrics: str
    table: str
    report: str

    def write(
        self,
        title: str,
        values: Mapping[str, float],
        report: str,
        before: Mapping[str, float] | None = None,
    ) -> None:
        """Write the metrics as JSON and as a Markdown table, and copy the report.

        Args:
            report: location of the report.
            before: the champion's metrics, which get a column of their own.
        """
        columns = ["metric", "value"] if before is None else ["metric", "before", "after"]
        lines = [columns, ["---"] * len(columns)]
        for name, value in values.items():
            old = [] if before is None else [_text(before.get(name))]
            lines.append([name, *old, _text(value)])
        table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        Path(self.metrics).write_text(json.dumps(dict(values), indent=1) + "\n", encoding="utf-8")
        Path(self.table).write_text(f"# {title}\n\n{table}", encoding="utf-8")
        Path(self.report).write_bytes(storage.read_bytes(report))


def show_decision(decision: str, out: str) -> None:
    """Write the gate's decision, a JSON file at this location, as Markdown: a sentence, then a row
    for each metric.
    """
    content = json.loads(storage.read_text(decision))
    champion = content.get("champion")
    against = f"compared with the champion {champion}" if champion else "there is no champion yet"
    verdict = "Passed" if content["passed"] else "Refused: nothing is registered"
    lines = ["# Gate", "", f"**{verdict}** ({against}).", ""]
    lines += [f"- {reason}" for reason in content["reasons"]]
    rows = content.get("rows", [])
    if rows:
        lines += ["", "| metric | champion | candidate | allowed | |", "|---|---|---|---|---|"]
    for row in rows:
        numbers = (row[column] for column in ("champion", "candidate", "allowed"))
        shown = " | ".join("–" if number is None else f"{number:.4f}" for number in numbers)
        missed = "**too high**" if is_lower_better(row["metric"]) else "**too low**"
        verdict = "ok" if row["ok"] else missed
        verdict = "ok, within chance" if row.get("by_chance") else verdict
        lines.append(f"| {row['metric']} | {shown} | {verdict} |")
    Path(out).write_text("\n".join(lines) + "\n", encoding="utf-8")


def note_registered(
    run_folder: str, out: str, version: Version, registry: str, model: str
) -> dict[str, str]:
    """Write what was registered to the run's folder and to the artifact `out`; returns it."""
    facts = {"version": str(version), "registry": registry, "model": model}
    content = json.dumps(facts, indent=1) + "\n"
    storage.write_text(storage.join(run_folder, "registered.json"), content)
    Path(out).write_text(content, encoding="utf-8")
    return facts


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
