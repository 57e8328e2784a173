"""The catalogue: the package's own is well formed and honest, and a wrong one is named."""

from __future__ import annotations

import pytest

from omnidet.data.download import catalogue
from omnidet.data.download.catalogue import RemoteFile

NAMED = {"coco", "lvis", "refcocog", "flickr30k", "cc12m", "cc12m-list", "laion-list"}


def test_our_catalogue_names_every_dataset():
    datasets = catalogue.load()
    assert datasets.keys() == NAMED
    assert [file.name for file in datasets["coco"].files] == [
        "annotations_trainval2017.zip",
        "val2017.zip",
        "train2017.zip",
    ]
    assert all(
        file.sha256 and file.md5 and file.size_bytes and len(file.urls) == 2
        for file in datasets["coco"].files
    )
    assert len(datasets["cc12m"].files) == 2176
    assert datasets["cc12m"].files[-1].urls[0].endswith("/cc12m-train-2175.tar")
    assert [file.by_hand != "" for file in datasets["flickr30k"].files] == [False] * 5 + [True]
    assert all(dataset.about and dataset.licence for dataset in datasets.values())


def test_a_catalogue_of_your_own(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        '[mine]\n[[mine.files]]\nname = "{train,val}.txt"\n'
        'urls = ["https://a/{train,val}.txt", "s3://b/{train,val}.txt"]\n'
        '[[mine.files]]\nname = "x/{08..10}.tar"\n'
        'urls = ["file:///d/{08..10}.tar"]\nunpack = "."\n',
        encoding="utf-8",
    )
    (mine,) = catalogue.load(path).values()
    assert mine.files[:2] == (
        RemoteFile("train.txt", ("https://a/train.txt", "s3://b/train.txt")),
        RemoteFile("val.txt", ("https://a/val.txt", "s3://b/val.txt")),
    )
    assert [(file.name, file.urls, file.unpack) for file in mine.files[2:]] == [
        (f"x/{i}.tar", (f"file:///d/{i}.tar",), ".") for i in ("08", "09", "10")
    ]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("[[a.files]]\nname = ", "own.toml is not TOML"),
        ('[a]\nabout = "x"', r"\[a\] has no files"),
        ("a = 3", "3, expected a table"),
        ('[[a.files]]\nname = "x"', "either `urls`, or `by_hand`"),
        ('[[a.files]]\nname = "../x"\nurls = ["https://a"]', r"'\.\./x' leads out"),
        ('[[a.files]]\nname = "/x"\nurls = ["https://a"]', "'/x' leads out"),
        (
            '[[a.files]]\nname = "x"\nunpack = "../y"\nurls = ["https://a"]',
            r"'\.\./y' leads out",
        ),
        ('[[a.files]]\nname = ".x"\nurls = ["https://a"]', r"'\.x'"),
        ('[[a.files]]\nname = "x"\nurls = ["ftp://a"]', "'ftp://a' .*https://"),
        ('[[a.files]]\nname = "x"\nurls = "https://a"', "urls = 'https://a' is not a list"),
        ('[[a.files]]\nname = "x"\nurls = [3]', "3 is not a string"),
        (
            '[[a.files]]\nname = "x"\nurls = ["https://a"]\nsha256 = "AB"',
            "not 64 hexadecimal digits",
        ),
        ('[[a.files]]\nname = "x"\nurls = ["https://a"]\nsize = 3', "unknown field 'size'"),
        (
            '[[a.files]]\nname = "x"\nurls = ["https://a"]\nsize_bytes = true',
            "size_bytes = True is not a int",
        ),
        ('[[a.files]]\nname = "x"\nurls = ["http://a"]\ntoken = "T"', "in clear text"),
        ('[[a.files]]\nname = "{0..3}"\nurls = ["https://a"]', "different numbers of files"),
        (
            '[[a.files]]\nname = "{0..3}"\nurls = ["https://{0..3}"]\nsha256 = ""',
            "for 4 files",
        ),
        ('[[a.files]]\nname = "{0..99999999}"\nurls = ["https://{0..3}"]', "stands for more than"),
        ('[[a.files]]\nname = "{0..3}{0..3}"\nurls = ["https://{0..3}"]', "several ranges"),
        ('[[a.files]]\nname = "x"\nurls = ["https://a"]\n' * 2, "several files named x"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, entry, problem):
    path = tmp_path / "own.toml"
    path.write_text(entry, encoding="utf-8")
    with pytest.raises(ValueError, match=problem) as raised:
        catalogue.load(path)
    assert "own.toml" in str(raised.value)
