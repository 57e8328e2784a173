"""Lists of a JSON file, element by element: like `json.loads`, without what is not wanted."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnidet.data.reading import json_stream

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.sampled_from(["info", "images", "annotations"]), VALUES, max_size=3)


def wanted(content):
    """What `load` must return for KEEP, from the whole document."""
    if not isinstance(content, dict):
        return content

    def only(value):
        return [
            {k: v for k, v in e.items() if k in "ab"} if isinstance(e, dict) else e for e in value
        ]

    return {k: only(v) if isinstance(v, list) else v for k, v in content.items() if k in KEEP}


KEEP = {"images": ("a", "b"), "annotations": ("a", "b")}


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(content=DOCUMENTS | VALUES, indent=st.sampled_from([None, 1]), window=st.integers(1, 40))
def test_same_as_reading_the_whole_at_once(tmp_path_factory, content, indent, window):
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps(content, indent=indent), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "WINDOW_CHARACTERS", window)
        assert json_stream.load(path, KEEP) == wanted(content)


@settings(max_examples=300, deadline=None)
@given(
    content=DOCUMENTS,
    place=st.floats(0, 1),
    byte=st.integers(0, 255),
    kind=st.sampled_from(["put", "cut", "add"]),
)
@pytest.mark.slow
def test_damage_is_an_error_whenever_json_loads_has_one(
    tmp_path_factory, content, place, byte, kind
):
    whole = json.dumps(content).encode()
    i = int(place * (len(whole) - 1))
    damaged = whole[:i] + (b"" if kind == "cut" else bytes([byte]) + whole[i + (kind == "put") :])
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_bytes(damaged)
    try:
        expected = wanted(json.loads(damaged))
    except ValueError:
        with pytest.raises(ValueError, match=r"character|decode"):
            json_stream.load(path, KEEP)
    else:
        assert json_stream.load(path, KEEP) == expected


def test_the_place_of_a_fault_is_named(tmp_path):
    (tmp_path / "a.json").write_text('{"images": [{"a": 1}, {"a": tru}]}')
    with pytest.raises(ValueError, match=r"at character 29$"):
        json_stream.load(tmp_path / "a.json", KEEP)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"images": [{"a": NaN}]}', "{'images': [{'a': nan}]}"),
        ('{"images": [{"a": 1e999}]}', "{'images': [{'a': inf}]}"),
        ('{"images": [{"a": ' + "9" * 30 + "}]}", "{'images': [{'a': " + "9" * 30 + "}]}"),
        ('{"images": [{"a": 1}], "images": [{"b": 2}]}', "{'images': [{'b': 2}]}"),
        ('{"images": [{"a": "\\ud800"}]}', "{'images': [{'a': '\\ud800'}]}"),
        ('{"images": {"a": 1, "c": 2}}', "{'images': {'a': 1, 'c': 2}}"),
        ("[1, 2]", "[1, 2]"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_json_loads_reads(tmp_path, text, kept, encoding):
    (tmp_path / "a.json").write_text(text, encoding=encoding)
    assert repr(json_stream.load(tmp_path / "a.json", KEEP)) == kept


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "character 1"),
        ('{"images": [{"a": 1},', "character 22"),
        ('{"images": [{"a": 1},]}', "comma.* character 22"),
        ('{"images": [1]} x', "after the end at character 17"),
        ("{1: 2}", "quotes"),
        ('{"images" [1]}', "':' at character 11"),
    ],
)
def test_what_is_not_json_is_named_with_its_place(tmp_path, text, problem):
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=problem):
        json_stream.load(tmp_path / "a.json", KEEP)


def test_deep_nesting_is_an_error_and_takes_no_memory(tmp_path):
    (tmp_path / "a.json").write_text('{"images": ' + "[" * 100_000, encoding="utf-8")
    with pytest.raises(RecursionError):
        json_stream.load(tmp_path / "a.json", KEEP)


MEASURE = """
import resource, sys
from pathlib import Path
from omnidet.data.reading import json_stream
kept = json_stream.load(Path(sys.argv[1]), {"annotations": ("id",)})
print(len(kept["annotations"]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_only_what_is_kept_takes_memory(tmp_path):
    """50 MB of masks that are not kept take less than 25 MB of memory."""
    masks = json.dumps([[round(i * 1.37, 2) for i in range(410)]])
    entries = (f'{{"id": {i}, "segmentation": {masks}}}' for i in range(16_000))
    path = tmp_path / "large.json"
    path.write_text(f'{{"annotations": [{",".join(entries)}]}}')
    assert path.stat().st_size > 50e6
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    small = tmp_path / "small.json"
    small.write_text('{"annotations": []}')
    base = subprocess.run(
        [sys.executable, "-c", MEASURE, str(small)], capture_output=True, text=True, check=True
    )
    count, kilobytes = map(int, done.stdout.split())
    assert count == 16_000
    assert kilobytes - int(base.stdout.split()[1]) < 25_000
