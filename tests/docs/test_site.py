"""The settings of the site make every broken link or stray page an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _build(folder: Path, page: str) -> subprocess.CompletedProcess[str]:
    """Build a site of one page, and of what else is in the folder, with the settings of ours."""
    (folder / "docs").mkdir(exist_ok=True)
    (folder / "docs" / "index.md").write_text(page, encoding="utf-8")
    settings = f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: docs\nsite_dir: site\nnav: [index.md]\n"
    (folder / "mkdocs.yml").write_text(settings, encoding="utf-8")
    command = [str(Path(sys.executable).parent / "mkdocs"), "build"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, env=environment
    )


@pytest.mark.slow
def test_a_page_without_faults_is_built(tmp_path):
    ran = _build(tmp_path, "# Title\n\n[down](#there)\n\n## There\n")
    assert ran.returncode == 0, ran.stderr
    assert "Title" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("[a page](missing.md)", "missing.md"),
        ("[a section](#missing)", "#missing"),
        ("![a picture](missing.png)", "missing.png"),
        ("[an address of this site](/somewhere)", "/somewhere"),
        ("[a class][omnidet.Missing]", "omnidet.Missing"),
        ("::: omnidet.missing", "omnidet.missing"),
    ],
)
def test_a_broken_link_is_an_error(tmp_path, fault, named):
    ran = _build(tmp_path, f"# Title\n\n{fault}\n")
    assert ran.returncode != 0
    assert named in ran.stderr


@pytest.mark.slow
def test_a_page_that_is_in_no_menu_is_an_error(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "orphan.md").write_text("# Alone\n", encoding="utf-8")
    ran = _build(tmp_path, "# Title\n")
    assert ran.returncode != 0
    assert "orphan.md" in ran.stderr
