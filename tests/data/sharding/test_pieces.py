"""One piece: what stays when a build is repeated, and how large images are scaled down."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import io
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omnidet.data import shards
from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sharding import build, finish, pieces
from omnidet.data.sharding.config import ShardsConfig
from omnidet.data.sharding.held_out import HeldOut
from omnidet.data.sharding.pieces import PieceConfig, SetToBuild
from omnidet.data.sources import by_name
from omnidet.schema import Record
from tests.data.sharding.small import WEB, files_of, one
from tests.data.sources.handmade import WRITERS, jpeg, write_coco, write_laion


def wanted(folder: Path, source: str = "coco", **config: object) -> SetToBuild:
    return SetToBuild(str(folder), source, PieceConfig(1000, **config), None)


def pieces_of(name: str, root: Path) -> list[functools.partial]:
    split = WRITERS[name](root)[0]
    return list(by_name(name).pieces(str(root), split, Quarantine()))


def moved(function: types.FunctionType, module: str) -> types.FunctionType:
    """The function as it is after it was moved to another module, under another name."""
    copy = types.FunctionType(function.__code__, function.__globals__, "read_these")
    copy.__module__, copy.__qualname__ = module, "Reader.read_these"
    return copy


@pytest.mark.parametrize("name", WRITERS)
def test_moving_or_renaming_the_reading_function_changes_no_fingerprint(name, tmp_path):
    for piece in pieces_of(name, tmp_path):
        elsewhere = functools.partial(moved(piece.func, "omnidet.elsewhere"), *piece.args)
        own = pieces.fingerprint(wanted(tmp_path, name), piece)
        assert pieces.fingerprint(wanted(tmp_path, name), elsewhere) == own


def test_a_module_that_moves_does_not_rebuild_an_unfinished_set(tmp_path, monkeypatch):
    """The source of the piece, functions and classes, is copied into another package and loaded."""
    write_laion(tmp_path / "laion")
    package = tmp_path / "house/moved_sources"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    code = Path(by_name("laion").__file__).read_text()
    (package / "web.py").write_text(code.replace("UrlRow", "ListedPicture"))
    monkeypatch.syspath_prepend(tmp_path / "house")
    other = importlib.import_module("moved_sources.web")
    location, receipts = tmp_path / "out", []
    for source in (by_name("laion"), other):
        (piece,) = source.pieces(str(tmp_path / "laion"), "train", Quarantine())
        receipts.append(pieces.build_piece(wanted(location, "laion"), (0, piece)))
        receipts.append((location / "000000.tar").stat().st_ino)
    for name in [name for name in sys.modules if name.startswith("moved_sources")]:
        monkeypatch.delitem(sys.modules, name)
    assert receipts[:2] == receipts[2:], "the shard was not written again"


def test_whatever_a_piece_is_made_from_changes_the_fingerprint(tmp_path):
    (piece,) = pieces_of("coco", tmp_path)
    function, arguments = piece.func, piece.args

    def of(*more, source="coco", kept_out=None, **config) -> str:
        given = functools.partial(function, *(more or arguments))
        own = dataclasses.replace(wanted(tmp_path, source, **config), kept_out=kept_out)
        return pieces.fingerprint(own, given)

    images = arguments[-1]
    box = {**images[0].entry, "width": 41}
    found = {
        of(),
        of(source="lvis"),
        of(max_side=16),
        of(decode_images=True),
        of(kept_out=HeldOut({"coco:1": "coco val2017"}, np.zeros(0, np.uint64), ())),
        of(*arguments[:-1], images[:1]),
        of(*arguments[:-1], [images[0]._replace(entry=box), *images[1:]]),
        of(*arguments[:-1], [images[0]._replace(is_searched=False), *images[1:]]),
    }
    assert len(found) == 8
    keyword = functools.partial(function, *arguments[:-1], images=images)
    other = functools.partial(function, *arguments[:-1], images=images[:1])
    assert pieces.fingerprint(wanted(tmp_path), keyword) != pieces.fingerprint(
        wanted(tmp_path), other
    )


def test_sets_are_written_in_one_order():
    """The order in which a set yields its members differs between processes."""
    one_way, other = frozenset(["b", "a", "c"]), frozenset(["c", "b", "a"])
    assert pieces._plain((one_way, {"x": one_way})) == pieces._plain((other, {"x": other}))
    assert pieces._plain(one_way) == ["a", "b", "c"]


def test_a_receipt_that_cannot_be_read_is_written_again(tmp_path):
    (piece,) = pieces_of("coco", tmp_path / "coco")
    own = wanted(tmp_path / "out")
    first = pieces.build_piece(own, (0, piece))
    receipt = tmp_path / "out/.pieces/000000.json"
    receipt.write_text("{")
    assert pieces.build_piece(own, (0, piece)) == first
    assert json.loads(receipt.read_text()) == first


def test_shards_are_kept_only_if_they_are_of_the_same_input(tmp_path):
    write_laion(tmp_path / "laion")
    config, out = ShardsConfig((WEB,), (), 1), str(tmp_path / "out")
    planned = build.plan(tmp_path, config)

    def built(config=config, kept_out=planned.held_out) -> list[int]:
        build.build_set(tmp_path, out, "train/laion", kept_out, config)
        return [p.stat().st_mtime_ns for p in sorted(Path(out).rglob("*.tar"))]

    first = built()
    assert built() == first
    assert not set(built(dataclasses.replace(config, max_side=16))) & set(first)
    first = built()
    other = HeldOut(
        {"laion:no": "coco val2017"}, planned.held_out.hashes, planned.held_out.hash_ids
    )
    assert not set(built(kept_out=other)) & set(first)
    first = built()
    next(Path(out).rglob("000001.tar")).unlink()
    again = built()
    assert (again[0], again[1] != first[1]) == (first[0], True)


def test_large_training_images_are_scaled_down_on_request_and_others_are_copied(tmp_path):
    write_coco(tmp_path / "coco")
    config = ShardsConfig((one("train/coco", "coco"),), (one("eval/coco", "coco"),), max_side=20)
    kept_out = build.plan(tmp_path, dataclasses.replace(config, evaluation=())).held_out
    out, names = str(tmp_path / "out"), ["train/coco", "eval/coco"]
    for name in names:
        build.build_set(tmp_path, out, name, kept_out, config)
        finish.finish_set(out, name)
    finish.merge(out, names)
    index = shards.read_index(out)
    pairs = list(
        zip(shards.records(index, "train/coco"), shards.records(index, "eval/coco"), strict=True)
    )
    assert len(pairs) == 2
    for small, large in pairs:
        assert (large.width, large.height, small.width, small.height) == (40, 30, 20, 15)
        assert Image.open(io.BytesIO(small.image)).size == (20, 15)
        assert (small.boxes_xyxy * 2).tolist() == large.boxes_xyxy.tolist()
        assert large.image in files_of(tmp_path / "coco").values()


def test_a_small_image_is_not_scaled():
    record = Record(jpeg(1), 40, 30, "toy", "toy:1")
    assert pieces.scaled_down(record, 40) is record
    assert pieces.scaled_down(record, 39).width == 39
