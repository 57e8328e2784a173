from __future__ import annotations

from xml.etree import ElementTree

import pytest

from omnidet.data.label_files.xml_text import text_of


def test_what_is_written_is_read():
    root = ElementTree.Element("a", {"b": '<"&ä\t'})
    ElementTree.SubElement(root, "c").text = "x > 😀"
    again = ElementTree.fromstring(text_of(root))
    assert again.get("b") == '<"&ä\t'
    assert again.findtext("c") == "x > 😀"


@pytest.mark.parametrize("text", ["a\x00b", "\x1b[0m", "\ufffe", "half \udc80"])
def test_what_no_xml_can_hold_is_refused_by_name(text):
    root = ElementTree.Element("a")
    root.text = text
    with pytest.raises(ValueError, match="XML"):
        text_of(root)
