"""The table of formats and the page that is made from it."""

from __future__ import annotations

from pathlib import Path

from omnidet.data.annotated import formats

PAGE = Path(__file__).parents[3] / "docs" / "formats.md"


def test_the_page_is_made_from_the_table():
    assert PAGE.read_text(encoding="utf-8") == formats.markdown(), (
        "python -m omnidet.data.annotated.formats > docs/formats.md"
    )


def test_every_format_says_all_of_itself():
    for entry in formats.FORMATS:
        assert all(value for value in vars(entry).values() if value is not False), entry.name
