"""The list of the files that an archive was unpacked into."""

import pytest

from omnidet.data.download import manifest
from omnidet.data.download.archives import Member
from omnidet.data.download.catalogue import RemoteFile


def test_members_are_read_relative_to_the_folder_of_the_datasets(tmp_path):
    file = RemoteFile("sub/a.zip", unpack="images")
    assert manifest.name_of(file) == ".downloads/sub--a.zip.files"
    location = tmp_path / manifest.name_of(file)
    manifest.write(location, [Member("1.jpg", 3), Member("é/2\u2028.jpg", 0)])
    assert manifest.read(location, file) == {"images/1.jpg": 3, "images/é/2\u2028.jpg": 0}
    assert manifest.read(location, RemoteFile("a.zip", unpack=".")).keys() == {
        "1.jpg",
        "é/2\u2028.jpg",
    }


def test_a_missing_or_damaged_manifest_is_an_error(tmp_path):
    file = RemoteFile("a.zip", unpack=".")
    with pytest.raises(FileNotFoundError):
        manifest.read(tmp_path / "a", file)
    for content in ('["a"', '["a"]'):
        (tmp_path / "a").write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=r"Expecting|unpack"):
            manifest.read(tmp_path / "a", file)
