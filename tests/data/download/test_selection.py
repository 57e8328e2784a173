"""Which files of a dataset are wanted, and files that only a person can get."""

import pytest

from omnidet.data.download import selection
from omnidet.data.download.catalogue import Dataset, RemoteFile
from omnidet.data.download.partial_file import TransferError
from omnidet.data.download.selection import Options

FILES = (
    RemoteFile("train-00.tar", ("https://a/0",)),
    RemoteFile("train-01.tar", ("https://a/1",)),
    RemoteFile("sub/images.zip", by_hand="https://form"),
)
TOY = Dataset("toy", "", "", FILES)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ((), ["train-00.tar", "train-01.tar", "sub/images.zip"]),
        (("train-0[1-9].tar",), ["train-01.tar"]),
        (("sub/*", "*00.tar"), ["train-00.tar", "sub/images.zip"]),
        (("TRAIN*",), []),
    ],
)
def test_patterns(patterns, names):
    assert [file.name for file in selection.matching(TOY, Options(patterns=patterns))] == names


def test_at_least_one_file_is_selected():
    assert selection.selected(TOY, Options(patterns=("*.tar",))) == list(FILES[:2])
    with pytest.raises(ValueError, match=r"toy .*x or y.*train-00\.tar"):
        selection.selected(TOY, Options(patterns=("x", "y")))


def test_a_file_by_hand_is_given_itself_or_in_a_folder(tmp_path):
    for path in (None, tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError, match=r"sub/images\.zip .*https://form"):
            selection.selected(TOY, Options(path=path))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "images.zip").touch()
    (tmp_path / "other.zip").touch()
    for path in (tmp_path, tmp_path / "sub" / "images.zip"):
        assert selection.selected(TOY, Options(path=path)) == list(FILES)
        assert selection.given(FILES[2], Options(path=path)) == tmp_path / "sub" / "images.zip"
    assert selection.given(FILES[2], Options(path=tmp_path / "other.zip")) is None


def test_problems_are_one_error():
    selection.raise_problems([], 3)
    with pytest.raises(TransferError, match=r"^2 of 3 files failed: a; b$"):
        selection.raise_problems(["b", "a"], 3)
    with pytest.raises(TransferError, match=r"^a$"):
        selection.raise_problems(["a"], 1)
