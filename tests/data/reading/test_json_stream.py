"""Lists of a JSON file, element by element: what `json.loads` gives, less what is not wanted, and an error where it has one."""

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
    """What `load` must give for KEEP, from the whole."""
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
def test_same_as_the_whole_at_once(tmp_path_factory, content, indent, window):
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
def test_damage_is_an_error_wherever_it_is_one_for_the_whole(
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
        with pytest.raises(ValueError):
            json_stream.load(path, KEEP)
    else:
        assert json_stream.load(path, KEEP) == expected


def test_the_place_of_a_fault_is_named(tmp_path):
    (tmp_path / "a.json").write_text('{"images": [{"a": 1}, {"a": tru}]}')
    with pytest.raises(ValueError, match=r"Expecting value at character 29$"):
        json_stream.load(tmp_path / "a.json", KEEP)


MEASURE = """
import resource, sys
from pathlib import Path
from omnidet.data.reading import json_stream
kept = json_stream.load(Path(sys.argv[1]), {"annotations": ("id",)})
print(len(kept["annotations"]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_is_for_what_is_kept(tmp_path):
    """50 MB of masks need no 50 MB: the whole process stays below what the file alone would take twice over."""
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
