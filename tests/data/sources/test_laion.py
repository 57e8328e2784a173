"""LAION: lists of links, dead and alive."""

from __future__ import annotations

import json

import pytest

from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sources import laion
from tests.data.sources.handmade import jpeg, parquet, write


def read(root):
    quarantine = Quarantine()
    return list(laion.read(str(root), "train", quarantine)), quarantine


@pytest.mark.parametrize("names", [("URL", "TEXT"), ("url", "caption"), ("Url", "text")])
def test_column_names_in_any_case(tmp_path, names):
    parquet(tmp_path / "a.parquet", ["1.jpg"], [" a\tboat "], names)
    write(tmp_path / "1.jpg", jpeg(1))
    (record,), quarantine = read(tmp_path)
    assert not quarantine.lines
    assert (record.caption, record.image, record.width, record.height) == (
        "a boat",
        jpeg(1),
        40,
        30,
    )


def test_faults_are_counted(tmp_path):
    urls = [
        "1.jpg",
        "1.jpg",
        "gone.jpg",
        "empty.jpg",
        "none.jpg",
        None,
        "page.html",
        "ftp://host/x.jpg",
        "http://[x/1.jpg",
    ]
    urls += ["../secret.jpg", "file:///etc/hostname", "file:///%2e%2e/etc/hostname"]
    texts = [
        "one",
        "one more",
        "gone",
        " ",
        None,
        "no url",
        "a page",
        "ftp",
        "malformed",
        "secret",
        "host",
        "host",
    ]
    parquet(tmp_path / "lists/a.parquet", urls, texts)
    write(tmp_path / "lists/1.jpg", jpeg(1))
    write(tmp_path / "secret.jpg", jpeg(2))
    write(tmp_path / "lists/page.html", "<html>")
    records, quarantine = read(tmp_path / "lists")
    assert [r.caption for r in records] == ["one"]
    assert dict(quarantine.counts) == {
        "laion: link: duplicate url": 1,
        "laion: link: dead link": 3,
        "laion: caption: empty caption": 2,
        "laion: link: empty url": 1,
        "laion: record: unreadable image": 1,
        "laion: link: link to a file outside the dataset": 3,
    }
    dead = next(
        entry for entry in map(json.loads, quarantine.lines) if entry["reason"] == "dead link"
    )
    assert dead["item"].startswith("a.parquet row 2 gone.jpg: ")


def test_a_duplicate_in_another_list_is_found(tmp_path):
    for name in ("b", "a"):
        parquet(tmp_path / f"{name}.parquet", ["1.jpg"], [f"from {name}"])
    write(tmp_path / "1.jpg", jpeg(1))
    records, quarantine = read(tmp_path)
    assert [r.caption for r in records] == ["from a"]
    assert dict(quarantine.counts) == {"laion: link: duplicate url": 1}


def test_what_is_not_in_the_format_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"'val'.*'train'"):
        list(laion.read(str(tmp_path), "val", Quarantine()))
    parquet(tmp_path / "a.parquet", ["1.jpg"], ["x"], ("link", "TEXT"))
    with pytest.raises(ValueError, match=r"a\.parquet .*url.*link"):
        read(tmp_path)
    write(tmp_path / "a.parquet", b"PAR1 not really PAR1")
    with pytest.raises(ValueError, match=r"a\.parquet"):
        read(tmp_path)


def test_the_sample(samples, monkeypatch):
    def no_network(urls):
        return (OSError(f"{url!r} cannot be fetched") for url in urls)

    monkeypatch.setattr(laion, "fetch_all", no_network)
    number, root = 1000 if samples.is_real else 20, samples.root / "laion_sample"
    records, quarantine = read(root)
    assert not records
    assert dict(quarantine.counts) == {"laion: link: dead link": number}
    assert len(laion.image_ids(str(root), "train")) == number
