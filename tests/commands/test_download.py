"""`omnidet download`: lists, fetches, and names what is wrong in one line."""

from __future__ import annotations

import pytest

from omnidet import storage
from omnidet.cli import main
from tests.data import hostile_server as hostile


@pytest.fixture
def catalogue(tmp_path):
    with hostile.hostile_server() as site:
        site.files["a.txt"] = b"hello"
        path = tmp_path / "own.toml"
        path.write_text(
            '[toy]\nabout = "a toy"\n[[toy.files]]\nname = "a.txt"\nurls = '
            f'["{site.url("a.txt")}"]\n',
            encoding="utf-8",
        )
        yield path


def test_list_and_fetch(catalogue, tmp_path, capsys):
    assert main(["download"]) == 0
    assert "coco             3 files, 20.4 GB: COCO 2017" in capsys.readouterr().out
    for state in ("fetched, 5 bytes", "already there, 5 bytes"):
        assert (
            main(["download", "toy", "--catalogue", str(catalogue), "--out", str(tmp_path / "out")])
            == 0
        )
        assert f"toy: a.txt: {state}" in capsys.readouterr().out
    assert (tmp_path / "out" / "a.txt").read_bytes() == b"hello"


@pytest.mark.s3
def test_fetch_to_an_object_store(s3, catalogue, tmp_path, capsys):
    storage.write_bytes(f"{s3.uri}/own.toml", catalogue.read_bytes())
    for state, scratch in (
        ("fetched, 5 bytes", []),
        ("already there, 5 bytes", ["--scratch", str(tmp_path / "scratch")]),
    ):
        places = ["--catalogue", f"{s3.uri}/own.toml", "--out", f"{s3.uri}/data"]
        assert main(["download", "toy", *places, *scratch]) == 0
        assert f"toy: a.txt: {state}" in capsys.readouterr().out
    assert storage.read_bytes(f"{s3.uri}/data/a.txt") == b"hello"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["none", "--out", "x"], "'none'"),
        (["coco"], "--out is missing"),
        (["coco", "--out", ""], "--out is missing"),
        (["coco", "flickr30k", "--out", "x"], "give the file with --path"),
        (
            ["coco", "lvis", "--out", "x", "--files", "zz*"],
            "--files zz*: coco or lvis has no file that matches",
        ),
        (
            ["flickr30k", "--out", "x", "--path", "none"],
            "--path none does not exist: give the file",
        ),
        (
            ["coco", "--out", "x", "--path", "."],
            "--path . is for files that only a person can get, and coco has no such file",
        ),
        (["coco", "--out", "s3://bucket/coco", "--keep-archives"], "--keep-archives"),
        (["coco", "--out", "x", "--scratch", "y"], "--scratch"),
        (["coco", "--out", "s3://bucket/coco", "--threads", "0"], "--threads 0"),
        (["coco", "--out", "x", "--threads", "0"], "--threads 0"),
        (["coco", "--out", "x", "--catalogue", "/no/such.toml"], "such.toml does not exist"),
        (["flickr30k", "--out", "x"], "give the file with --path"),
    ],
)
def test_wrong_input(arguments, problem, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["download", *arguments]) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_files_of_several_datasets(catalogue, tmp_path, capsys):
    with catalogue.open("a", encoding="utf-8") as file:
        file.write('[other]\n[[other.files]]\nname = "b.txt"\nby_hand = "https://form"\n')
    arguments = [
        "download",
        "toy",
        "other",
        "--catalogue",
        str(catalogue),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "other: b.txt" in said
    assert "licence" in said
    assert main([*arguments, "--files", "a*", "--files", "zz*"]) == 2
    assert not (tmp_path / "out").exists()
    assert (
        main([*arguments, "--files", "a*"]) == 0
    )  # nothing is asked of a dataset of which nothing is wanted
    assert capsys.readouterr().out.startswith("toy: a.txt: fetched")
