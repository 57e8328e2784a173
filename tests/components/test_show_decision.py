"""The gate's decision as Markdown."""

from __future__ import annotations

import json
from pathlib import Path

from components.show_decision import show_decision
from omnidet import storage
from tests.components.steps import Artifact


def test_all_that_was_decided_is_shown(tmp_path):
    content = {"passed": False, "reasons": ["größer als ½"], "champion": "toy@1"}
    storage.write_text(str(tmp_path / "gate.json"), json.dumps(content))
    shown = Artifact(tmp_path / "decision.md")
    show_decision.python_func(str(tmp_path), shown)
    text = Path(shown.path).read_text(encoding="utf-8")
    assert text.startswith("# Gate\n")
    assert json.loads(text.split("```json\n")[1].removesuffix("```\n")) == content
    assert "größer als ½" in text
