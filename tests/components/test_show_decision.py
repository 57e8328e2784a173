"""The gate's decision as Markdown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.show_decision import show_decision
from omnidet import storage
from omnidet.registry import gate
from tests.components.steps import Artifact


def _shown(tmp_path: Path, champion: str | None, decision: gate.Decision) -> str:
    content = {"champion": champion, **decision.describe()}
    storage.write_text(str(tmp_path / "gate.json"), json.dumps(content))
    shown = Artifact(tmp_path / "decision.md")
    show_decision.python_func(str(tmp_path), shown)
    return Path(shown.path).read_text(encoding="utf-8")


def test_a_refusal_is_a_sentence_its_reasons_and_a_table(tmp_path):
    decision = gate.decide(
        {"coco/AP": 0.25, "lvis/AP": 0.3}, {"coco/AP": 0.5, "lvis/AP": 0.3}, gate.GateConfig()
    )
    text = _shown(tmp_path, "toy@1", decision)
    assert "**Refused" in text
    assert "toy@1" in text
    assert f"- {decision.reasons[0]}" in text.splitlines()
    assert "| coco/AP | 0.5000 | 0.2500 | 0.4800 | **too low** |" in text.splitlines()
    assert "| lvis/AP | 0.3000 | 0.3000 | 0.2800 | ok |" in text.splitlines()


def test_what_is_missing_is_a_dash(tmp_path):
    limits = gate.GateConfig(minimum=("coco/AP=0.1",))
    text = _shown(tmp_path, None, gate.decide({"coco/AP": float("nan")}, None, limits))
    assert "| coco/AP | – | – | 0.1000 | **too low** |" in text.splitlines()
    assert "no champion" in text


@pytest.mark.parametrize("champion", ["toy@3", None])
def test_a_pass_needs_no_reasons(tmp_path, champion):
    text = _shown(
        tmp_path, champion, gate.decide({"coco/AP": 0.5}, {"coco/AP": 0.4}, gate.GateConfig())
    )
    assert "**Passed**" in text
    assert "\n- " not in text


def test_what_is_better_when_it_falls_is_too_high(tmp_path):
    rate = "absent/false_positive_rate"
    limits = gate.GateConfig(metrics=(rate,))
    text = _shown(tmp_path, None, gate.decide({rate: 0.9}, {rate: 0.1}, limits))
    assert "too high" in text
    assert "too low" not in text
