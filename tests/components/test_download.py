"""Datasets of a catalogue, on a real web server, to where the recipe reads them."""

from __future__ import annotations

import pytest

from components.download import download
from omnidet import storage
from tests.data import hostile_server as hostile
from tests.data.download.test_archives import make_zip


def _own(path: str) -> list[str]:
    return [f"download.catalogue={path}"]


@pytest.fixture
def own_catalogue(tmp_path):
    """Three datasets of one file each on a web server, and the server."""
    with hostile.hostile_server() as site:
        tables = []
        for name in ("coco", "cc12m", "mine"):
            file = make_zip(tmp_path / f"{name}.zip", (f"{name}.txt", name.encode()))
            site.files[f"{name}.zip"] = file.read_bytes()
            lines = [
                f"[{name}]",
                f"[[{name}.files]]",
                f'name = "{name}.zip"',
                f'urls = ["{site.url(f"{name}.zip")}"]',
                'unpack = "."',
            ]
            tables.append("\n".join(lines))
        path = tmp_path / "own.toml"
        path.write_text("\n".join(tables), encoding="utf-8")
        yield str(path), site


@pytest.mark.s3
def test_datasets_go_where_the_recipe_reads_them(s3, own_catalogue):
    path, site = own_catalogue
    data, names = f"{s3.uri}/data", ["coco", "cc12m", "mine"]
    for _ in range(2):  # a step that is tried again
        assert download.python_func(data, "1", names, "coco_folder", _own(path)) == data
        found = [name for name in storage.list_files(data) if name.endswith(".txt")]
        assert found == ["cc12m/cc12m.txt", "coco.txt", "mine.txt"]
        assert len(site.asked) == 3
    tiny = f"{s3.uri}/tiny"
    assert download.python_func(tiny, "1", ["coco"], "tiny_world", _own(path)) == tiny
    assert storage.read_bytes(f"{tiny}/coco/coco.txt") == b"coco"


def test_nothing_to_download_returns_the_data_as_it_is(tmp_path, own_catalogue):
    path, site = own_catalogue
    for data in ("", "s3://no-such-bucket/data", str(tmp_path)):
        assert download.python_func(data, "", [], "coco_folder", _own(path)) == data
    assert not site.asked


def test_a_folder_is_made(tmp_path, own_catalogue):
    path, site = own_catalogue
    data = str(tmp_path / "local")
    assert download.python_func(data, "", ["coco"], "coco_folder", _own(path)) == data
    assert (tmp_path / "local" / "coco.txt").read_bytes() == b"coco"
    assert len(site.asked) == 1
