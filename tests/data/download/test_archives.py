"""Archives from the web: good ones are unpacked, and nothing is ever written elsewhere."""

from __future__ import annotations

import contextlib
import gzip
import io
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnidet.data.download.archives import Limits, Member, is_archive, unpack
from tests.data.hostile_tar import write_tar_that_leads_back

SMALL = Limits(max_members=5, max_bytes=100_000, max_ratio=50, free_ratio_bytes=50_000)
OUTSIDE = [
    "../evil",
    "/evil",
    "a/../../evil",
    "a\\..\\..\\evil",
    "C:/evil",
    "a\nb",
    "x" * 300,
    "/".join(["x" * 200] * 9),
]


def make_tar(path: Path, *members: tuple[str, bytes | dict[str, object]]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                for field, value in content.items():
                    setattr(info, field, value)
                archive.addfile(info)
    return path


def make_zip(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "A.TGZ"])
def test_folders_and_files(tmp_path, name):
    make = make_zip if name.endswith("zip") else make_tar
    content = bytes(range(256)) * 9000
    long = "/".join(["n" * 200] * 3)
    members = [
        ("train/a b.jpg", content),
        ("train/é.txt", b""),
        (long, b"x"),
        ("__MACOSX/._a", b"x"),
        ("train/.DS_Store", b"x"),
    ]
    archive = make(tmp_path / name, *members)
    seen = []
    found = unpack(archive, tmp_path / "out", progress=seen.append)
    assert found == [
        Member("train/a b.jpg", len(content)),
        Member("train/é.txt", 0),
        Member(long, 1),
    ]
    assert (tmp_path / "out/train/a b.jpg").read_bytes() == content
    assert [
        path for path in everything(tmp_path / "out") if (tmp_path / "out" / path).is_file()
    ] == [
        long,
        "train/a b.jpg",
        "train/é.txt",
    ]
    assert sum(seen) == len(content) + 1
    assert is_archive(name)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("name", OUTSIDE)
def test_no_way_out_of_the_folder(tmp_path, kind, name):
    work = tmp_path / "in" / "deep"
    work.mkdir(parents=True)
    archive = (make_zip if kind == "zip" else make_tar)(
        work / f"a.{kind}", ("good", b"good"), (name, b"evil")
    )
    before = everything(tmp_path)
    with pytest.raises(ValueError, match=r"/a\.\S+ has a member named '"):
        unpack(archive, work / "out")
    assert everything(tmp_path) == before
    assert not Path("/evil").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_no_links_and_no_devices_in_a_tar(tmp_path, kind):
    target = tmp_path / "target"
    target.mkdir()
    link = ("link", {"type": kind, "linkname": str(target)})
    archive = make_tar(tmp_path / "a.tar", ("good", b"good"), link, ("link/evil", b"evil"))
    with pytest.raises(ValueError, match="'link'"):
        unpack(archive, tmp_path / "out")
    assert everything(tmp_path) == ["a.tar", "target"]


def test_no_links_in_a_zip(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, str(tmp_path))
        archive.writestr("link/evil", "evil")
    with pytest.raises(ValueError, match="'link'"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert everything(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_is_used_once(tmp_path, kind):
    make = make_zip if kind == "zip" else make_tar
    for members, problem in (
        ([("a", b"1"), ("a", b"2")], "member 'a' twice"),
        ([("a", b"1"), ("a/b", b"2")], "both as a file and"),
        ([("a/b", b"1"), ("a", b"2")], "both as a file and"),
    ):
        archive = make(tmp_path / f"a.{kind}", *members)
        with pytest.raises(ValueError, match=problem):
            unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_bombs_and_crowds(tmp_path, name):
    make = make_zip if name == "a.zip" else make_tar
    for members, problem in (
        ([("a", bytes(90_000))], "decompression bomb"),
        (
            [(f"{i}", bytes(9_000)) for i in range(5)] + [("f", b"")],
            "more than 5 members|holds 6 members",
        ),
    ):
        archive = make(tmp_path / name, *members)
        with pytest.raises(ValueError, match=problem):
            unpack(archive, tmp_path / "out", SMALL)
    plain = make_tar(tmp_path / "b.tar", ("a", bytes(60_000)), ("b", bytes(60_000)))
    with pytest.raises(ValueError, match="more than 100000 bytes"):
        unpack(plain, tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()


def test_a_zip_that_lies_about_sizes_is_still_a_bomb(tmp_path):
    archive = make_zip(tmp_path / "a.zip", ("a", bytes(5_000_000)))
    lie = archive.read_bytes().replace(
        (5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    )
    archive.write_bytes(lie)
    with pytest.raises(ValueError, match=r"bomb|damaged"):
        unpack(archive, tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()


def test_members_that_share_their_bytes(tmp_path):
    archive = make_zip(tmp_path / "a.zip", ("a", bytes(range(256)) * 100))
    whole = bytearray(archive.read_bytes())
    start = whole.rindex(b"PK\x01\x02")
    entry, end = whole[start : whole.rindex(b"PK\x05\x06")], whole[whole.rindex(b"PK\x05\x06") :]
    entries = bytes(entry) * 4
    end[8:12] = (4).to_bytes(2, "little") * 2
    end[12:16] = len(entries).to_bytes(4, "little")
    archive.write_bytes(whole[:start] + entries + end)
    with pytest.raises(ValueError, match="overlap"):
        unpack(archive, tmp_path / "out")


def test_a_header_that_asks_for_memory(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 200_000_000
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as out:
        out.write(info.tobuf())
        out.write(bytes(20_000_000))
    tracemalloc.start()
    with pytest.raises(ValueError, match="200000000 bytes"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_encrypted_zips_and_unusual_compression(tmp_path):
    whole = make_zip(tmp_path / "a.zip", ("a", b"content")).read_bytes()
    directory = whole.rindex(b"PK\x01\x02")
    for offset, value, problem in (
        (8, 1, "encrypted member .'a'"),
        (10, 99, "method 99 for 'a'"),
    ):
        changed = bytearray(whole)
        changed[directory + offset] = value
        (tmp_path / "a.zip").write_bytes(changed)
        with pytest.raises(ValueError, match=problem):
            unpack(tmp_path / "a.zip", tmp_path / "out")
    with pytest.raises(ValueError, match=r"a\.rar cannot be unpacked"):
        unpack(make_zip(tmp_path / "a.rar", ("a", b"")), tmp_path / "out")


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.zip"])
def test_every_cut_is_an_error(tmp_path, name):
    archive = (make_zip if name == "a.zip" else make_tar)(
        tmp_path / name, ("a", bytes(range(256)) * 8), ("b", b"1" * 700)
    )
    whole = archive.read_bytes()
    ends = 9216 if name == "a.tar" else 0  # a tar is padded with zeros after its end
    for length in sorted(
        {
            0,
            1,
            511,
            512,
            513,
            1024,
            len(whole) // 2,
            len(whole) - ends - 600,
            len(whole) - 10240 + 1024,
        }
    ):
        if 0 <= length < len(whole) - ends:
            archive.write_bytes(whole[:length])
            with pytest.raises(ValueError, match="is truncated or damaged"):
                unpack(archive, tmp_path / "out")
            assert not (tmp_path / "out").exists()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), name=st.sampled_from(["a.tar", "a.tar.gz", "a.zip"]))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_mutated_bytes_never_leave_the_folder_or_crash(tmp_path_factory, data, name):
    folder = tmp_path_factory.mktemp("fuzz")
    archive = (make_zip if name == "a.zip" else make_tar)(
        folder / name, ("d/a", bytes(range(256)) * 4), ("b", b"1" * 700)
    )
    content = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    archive.write_bytes(content)
    with contextlib.suppress(ValueError):
        unpack(archive, folder / "out", SMALL)
        shutil.rmtree(folder / "out")
    assert not (folder / "out").exists()
    assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, b"Z"])
def test_a_header_that_leads_back_does_not_loop_forever(tmp_path, kind):
    """A negative size (CVE-2025-8194)."""
    write_tar_that_leads_back(tmp_path / "a.tar", kind)
    with pytest.raises(ValueError, match="leads back"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


def test_a_full_disk_is_named(tmp_path):
    """A limit on the size of files plays the full disk."""
    archive = make_tar(tmp_path / "a.tar", ("a", bytes(100_000)))
    script = f"""
import pathlib, resource
from omnidet.data.download.archives import unpack
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    unpack(pathlib.Path({str(archive)!r}), pathlib.Path({str(tmp_path / "new/out")!r}))
except OSError as error:
    print(error)
"""
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    for part in (str(archive), f"{tmp_path}/new", "File too large"):
        assert part in printed
    assert printed.count("\n") == 1
    assert everything(tmp_path / "new") == []
