"""The files of a dataset, in a local folder and on an object store."""

from __future__ import annotations

import pytest

from omnidet import storage
from omnidet.data.reading import dataset_folder
from omnidet.data.reading.dataset_folder import DataFolder

CONTENTS = {
    "a.json": b"{}",
    "b.tar": b"b",
    "images/1.jpg": b"one",
    "2.jpg": b"two",
    "sub/c.tar": b"c",
}


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.s3)])
def folder(request, tmp_path, monkeypatch) -> DataFolder:
    monkeypatch.chdir(tmp_path)  # of the cache
    root = f"{request.getfixturevalue('s3').uri}/d" if request.param == "s3" else f"{tmp_path}/d"
    for name, content in CONTENTS.items():
        storage.write_bytes(f"{root}/{name}", content)
    return DataFolder(root)


def test_files_by_their_names(folder):
    assert folder.has("a.json")
    assert not folder.has("none")
    assert not folder.has("images")
    assert folder.path("a.json").read_bytes() == b"{}"
    assert folder.read("2.jpg") == b"two"
    assert folder.read("none") is None
    assert folder.names(".tar") == ["b.tar"]
    assert folder.names(".none") == []
    with folder.fetched("b.tar") as path:
        assert path.read_bytes() == b"b"


def test_images_are_found_in_either_place(folder):
    assert folder.read_image(["none.jpg", "1.jpg"]) == b"one"
    assert folder.read_image(["2.jpg"]) == b"two"
    assert folder.read_image(["none.jpg"]) is None
    wanted = [["1.jpg"], ["none.jpg"], ["2.jpg"]] * 20
    assert list(folder.read_images(wanted)) == [b"one", None, b"two"] * 20


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/hostname",
        "../secret",
        "images/../../secret",
        "a\0b",
        "x" * 300,
        "images",
        "\ud800",
    ],
)
def test_a_name_from_an_annotation_file_cannot_lead_out(tmp_path, name):
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "d" / "images").mkdir(parents=True)
    assert DataFolder(str(tmp_path / "d")).read(name) is None


@pytest.mark.s3
def test_on_an_object_store_the_last_folder_is_tried_first(s3, monkeypatch):
    for i in range(9):
        storage.write_bytes(f"{s3.uri}/images/{i}.jpg", b"x")
    requests, real = [], storage.read_bytes

    def counted(location):
        requests.append(location)
        return real(location)

    monkeypatch.setattr(dataset_folder.storage, "read_bytes", counted)
    folder = DataFolder(s3.uri)
    assert [folder.read_image([f"{i}.jpg"]) for i in range(9)] == [b"x"] * 9
    assert len(requests) == 10  # one wrong guess
