"""CC12M: tars in any order, captions in either place, and truncated tars."""

from __future__ import annotations

import tarfile

import pytest
from PIL import Image

from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sources import cc12m
from tests.data.hostile_tar import write_tar_that_leads_back
from tests.data.sources.handmade import jpeg, tar


def read(root):
    quarantine = Quarantine()
    return list(cc12m.read(str(root), "train", quarantine)), quarantine


def test_captions_from_text_or_json(tmp_path):
    content = b'{"caption": "<PERSON> on\\n a <PERSON>"}'
    members = [("2.png", jpeg(2)), ("2.json", content), ("1.JPG", jpeg(1)), ("1.txt", b" a  boat ")]
    tar(tmp_path / "a.tar", members)
    records, quarantine = read(tmp_path)
    assert not quarantine.lines
    assert [(r.image_id, r.caption, r.image) for r in records] == [
        ("cc12m:a/1", "a boat", jpeg(1)),
        ("cc12m:a/2", "person on a person", jpeg(2)),
    ]


def test_faults_are_counted(tmp_path):
    members = [
        ("1.txt", b"no image"),
        ("2.jpg", jpeg(2)),
        ("3.jpg", jpeg(3)),
        ("3.txt", b" \n"),
        ("4.jpg", b"no jpeg"),
    ]
    members += [
        ("4.txt", b"x"),
        ("5.jpg", jpeg(5)),
        ("5.txt", b"first"),
        ("5.txt", b"second"),
        ("6.jpg", jpeg(6)),
    ]
    members += [("6.json", b"{"), ("7.jpg", jpeg(7)), ("7.json", b'{"caption": null}')]
    tar(tmp_path / "a.tar", members)
    records, quarantine = read(tmp_path)
    assert [r.caption for r in records] == ["first"]
    assert dict(quarantine.counts) == {
        "cc12m: caption: duplicate key": 1,
        "cc12m: record: missing image file": 1,
        "cc12m: caption: empty caption": 4,
        "cc12m: record: unreadable image": 1,
    }
    assert '"a.tar:1"' in "".join(quarantine.lines)


def test_every_cut_and_a_broken_header_are_named(tmp_path):
    path = tmp_path / "a.tar"
    tar(path, [("1.jpg", jpeg(1)), ("1.txt", b"one"), ("2.jpg", jpeg(2)), ("2.txt", b"two")])
    whole = path.read_bytes()
    content_end = whole.rindex(b"two") + 512
    for size in range(0, content_end, 97):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"a\.tar"):
            read(tmp_path)
    broken = bytearray(whole)
    broken[whole.index(b"2.jpg") + 150] ^= 0xFF  # in the checksum of a header
    path.write_bytes(broken)
    with pytest.raises(ValueError, match=r"a\.tar"):
        read(tmp_path)
    path.write_bytes(b"<html>" * 1000)
    with pytest.raises(ValueError, match=r"a\.tar"):
        read(tmp_path)


def test_an_empty_tar_is_not_a_fault(tmp_path):
    tar(tmp_path / "a.tar", [])
    assert read(tmp_path)[0] == []


def test_unknown_split_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"'val'.*'train'"):
        cc12m.image_ids(str(tmp_path), "val")


def test_the_sample(samples):
    number, first, persons = (32, "000000001", 5) if samples.is_real else (8, "000000000", 4)
    records, quarantine = read(samples.root / "cc12m_sample")
    assert not quarantine.lines
    assert len(records) == number
    ids = [r.image_id for r in records]
    assert ids == sorted(ids)
    assert ids[0] == f"cc12m:cc12m-train-0000/{first}"
    assert sum("person" in r.caption for r in records) >= persons
    assert not any("<PERSON>" in r.caption for r in records)


def test_a_bomb_is_distinguished_from_a_broken_image(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    tar(tmp_path / "a.tar", [("1.jpg", jpeg(1)), ("1.txt", b"x")])
    assert dict(read(tmp_path)[1].counts) == {"cc12m: record: image too large": 1}


def test_headers_that_lie_are_refused_at_once(tmp_path):
    write_tar_that_leads_back(tmp_path / "a.tar")
    with pytest.raises(ValueError, match=r"a\.tar .*leads back"):
        read(tmp_path)
    member = tarfile.TarInfo("long")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    (tmp_path / "a.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(ValueError, match=r"a\.tar .*1099511627776 bytes"):
        read(tmp_path)
