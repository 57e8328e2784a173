"""Lists in chunks, and the memory of URLs."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnidet.data.reading import url_lists
from omnidet.data.reading.url_lists import SeenUrls, UrlRow


def test_rows_run_over_the_lists_in_chunks(tmp_path):
    (tmp_path / "a.tsv").write_text(
        "caption\turl\none\thttp://a/1\ntwo\thttp://a/2\textra\n", encoding="utf-8"
    )
    (tmp_path / "b.csv").write_text(
        'image_url,caption\nhttp://b/3,"three, ""quoted"""\nhttp://b/4\n', encoding="utf-8"
    )
    (tmp_path / "notes.md").write_text("", encoding="utf-8")
    paths = url_lists.find(tmp_path)
    assert list(url_lists.chunks(paths, 3)) == [
        [
            UrlRow(0, "http://a/1", "one"),
            UrlRow(1, "http://a/2", "two"),
            UrlRow(2, "http://b/3", 'three, "quoted"'),
        ],
        [UrlRow(3, "http://b/4", "")],
    ]
    before = url_lists.fingerprint(paths)
    (tmp_path / "b.csv").write_text("url,caption\n", encoding="utf-8")
    assert url_lists.fingerprint(paths) != before
    with pytest.raises(FileNotFoundError, match="none does not exist"):
        url_lists.find(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", 'url,caption\nhttp://a/1,"é"\n'), ("a.tsv", "http://a/1\té\n")]
)
def test_a_byte_order_mark_is_skipped(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8-sig")
    assert list(url_lists.chunks([tmp_path / name], 10)) == [[UrlRow(0, "http://a/1", "é")]]


def write_parquet(path, url, caption, kind):
    pq.write_table(
        pa.table({"url": pa.array([url, None], kind), "caption": pa.array([caption, None], kind)}),
        path,
    )
    return path


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_text_and_bytes_of_a_parquet_file_are_text(tmp_path, kind):
    path = write_parquet(tmp_path / "a.parquet", b"http://a/1", "é".encode(), kind)
    assert list(url_lists.chunks([path], 10)) == [[UrlRow(0, "http://a/1", "é"), UrlRow(1, "", "")]]
    pq.write_table(
        pa.table({name: pa.array(["http://a"]).dictionary_encode() for name in ("url", "caption")}),
        path,
    )
    assert list(url_lists.chunks([path], 10)) == [[UrlRow(0, "http://a", "http://a")]]


@pytest.mark.parametrize(
    ("kind", "value"),
    [(pa.int64(), 1), (pa.list_(pa.string()), ["x"]), (pa.struct([("a", pa.string())]), {})],
)
def test_a_column_that_is_not_text_is_named(tmp_path, kind, value):
    path = write_parquet(tmp_path / "a.parquet", value, value, kind)
    with pytest.raises(
        ValueError,
        match=r"a\.parquet: the column url holds \w+",
    ):
        list(url_lists.chunks([path], 10))


def test_urls_are_remembered_beyond_the_set(monkeypatch):
    seen = SeenUrls()
    count = (1 << 17) + 1000
    assert all(seen.add(f"http://a/{i}") for i in range(count))
    assert len(seen._recent) < 1000
    assert not any(seen.add(f"http://a/{i}") for i in range(0, count, 997))
    assert seen.add("http://a/new")


def test_the_list_of_the_sample(samples):
    (rows,) = url_lists.chunks(url_lists.find(samples.root / "laion_sample"), 2000)
    assert [row.number for row in rows] == list(range(1000 if samples.is_real else 20))
    assert all(row.url.startswith("http") and row.caption for row in rows)


@pytest.mark.parametrize(
    "content", [b"", b"PAR1 and more PAR1", b"PAR1" + bytes(40) + b"\x05\0\0\0PAR1"]
)
def test_a_damaged_parquet_file_is_named(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet is not a readable Parquet"):
        list(url_lists.chunks([tmp_path / "a.parquet"], 10))


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("URL", "TEXT"), ("URL", "TEXT")),
        (("caption", "image_url", "text"), ("image_url", "caption")),
        (("Url", "url", "Caption"), ("Url", "Caption")),
    ],
)
def test_columns_are_found_in_any_case(names, chosen):
    assert url_lists.columns(names, "a.tsv") == chosen


def test_a_missing_column_is_named_with_those_of_the_file():
    with pytest.raises(ValueError, match=r"a\.tsv .*caption or text .*url, words"):
        url_lists.columns(("url", "words"), "a.tsv")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("url\tcaption\n", r"a\.tsv has no rows"),
        ("", r"a\.tsv has no header"),
        ("one\ttwo\n", r"a\.tsv has no header.*url or image_url"),
    ],
)
def test_lists_that_would_give_nothing_are_refused_at_once(tmp_path, content, problem):
    (tmp_path / "a.tsv").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=problem):
        url_lists.require_rows([tmp_path / "a.tsv"])


def test_one_list_with_rows_is_enough(tmp_path):
    for name, content in (("a.tsv", "url\tcaption\n"), ("b.tsv", "http://a/1\tone\n")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    url_lists.require_rows(url_lists.find(tmp_path))
    with pytest.raises(ValueError, match="'md5'"):
        url_lists.require_rows(url_lists.find(tmp_path), "md5")


def test_a_folder_without_lists_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path} holds no list"):
        url_lists.find(tmp_path)
    (tmp_path / "a.txt").touch()
    with pytest.raises(ValueError, match=r"a\.txt .*\.parquet"):
        url_lists.find(tmp_path / "a.txt")
