"""Flickr30K Entities: tags, chains, and faulty box files. Every box file here is synthetic."""

from __future__ import annotations

import pytest

from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sources import flickr30k
from tests.data.sources.handmade import flickr_box, flickr_xml, jpeg, write

BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def written(root, sentences, xml=None, listed="36\n"):
    write(root / "splits/train.txt", listed)
    write(root / "Sentences/36.txt", sentences)
    write(root / "images/36.jpg", jpeg(36))
    if xml is not None:
        write(root / "Annotations/36.xml", xml)


def read(root, split="train"):
    quarantine = Quarantine()
    return list(flickr30k.read(str(root), split, quarantine)), quarantine


def test_sentence_tags():
    line = "[/EN#7/people/bodyparts Two  men] in [/EN#0/notvisual the background] wave "
    line += "[/EN#9/other a flag] .\n"
    text, tags = flickr30k.parse_sentence(line)
    assert text == "Two men in the background wave a flag ."
    assert tags == [("7", "Two men"), ("9", "a flag")]


def test_phrases_name_the_boxes_of_their_chains(tmp_path):
    sentences = "[/EN#1/people A man] and [/EN#2/people a woman] on [/EN#3/scene a street] .\n"
    sentences += "[/EN#2/people a man] near [/EN#4/other a cup] , [/EN#1/people the couple] and "
    sentences += "[/EN#2/people the couple] .\n"
    boxes = [
        flickr_box(["1"], (1, 2, 9, 20)),
        flickr_box(["1", "2"], (0, 0, 20, 20)),
        flickr_box(["3"], None),
    ]
    written(tmp_path, sentences, flickr_xml(*boxes, flickr_box(["2"], (5, 5, 9, 9))))
    (record,), quarantine = read(tmp_path)
    assert not quarantine.lines
    # "A man" and "a man" are one phrase; the street and the cup have no box.
    named = dict(zip(record.phrases, record.phrase_boxes, strict=True))
    assert named == {"A man": (0, 1, 2), "a woman": (1, 2), "the couple": (0, 1, 2)}
    assert record.boxes_xyxy.tolist() == [[1, 2, 9, 20], [0, 0, 20, 20], [5, 5, 9, 9]]
    assert (
        record.caption
        == "A man and a woman on a street . . a man near a cup , the couple and the couple ."
    )
    assert (record.absent, record.not_exhaustive) == ((), ())


def test_a_phrase_that_also_names_something_without_a_box_is_not_exhaustive(tmp_path):
    sentences = "[/EN#1/people a man] next to [/EN#2/people a man] .\n"
    written(
        tmp_path, sentences, flickr_xml(flickr_box(["1"], (1, 2, 9, 20)), flickr_box(["2"], None))
    )
    (record,), _ = read(tmp_path)
    assert (record.phrases, record.not_exhaustive) == (("a man",), ("a man",))


def test_without_a_box_file_there_is_the_caption(tmp_path):
    written(tmp_path, "[/EN#1/people a man] .\n[/EN#1/people a man] .\n")
    (record,), _ = read(tmp_path)
    assert (record.caption, record.phrases, len(record.boxes_xyxy), record.width) == (
        "a man .",
        (),
        0,
        40,
    )


def test_sentences_that_do_not_describe_the_image_are_left_out(tmp_path):
    written(tmp_path, "one .\ntwo .\nthree .\n")
    write(
        tmp_path / "splits/UNRELATED_CAPTIONS",
        "# format: <imageID> <sentence number>\n36 2\n99 1\n",
    )
    assert read(tmp_path)[0][0].caption == "one . . three ."


def test_faults_are_counted(tmp_path):
    written(tmp_path, "good .\n\n[/EN#1/people open .\n\xa0\n", listed="36\n36\n77\n88\n99\n")
    write(tmp_path / "Sentences/77.txt", "no image .\n")
    write(tmp_path / "images/88.jpg", jpeg(88))
    records, quarantine = read(tmp_path)
    assert [r.caption for r in records] == ["good ."]
    assert dict(quarantine.counts) == {
        "flickr30k: record: duplicate image id": 1,
        "flickr30k: caption: empty caption": 2,
        "flickr30k: caption: malformed sentence": 1,
        "flickr30k: record: missing image file": 1,
        "flickr30k: record: missing sentence file": 1,
    }
    # 99 is not part of this copy, and is held out all the same.
    assert flickr30k.image_ids(str(tmp_path), "train") == {
        f"flickr30k:{i}" for i in (36, 77, 88, 99)
    }


@pytest.mark.parametrize(
    ("xml", "problem"),
    [
        ("<annotation>", "not XML"),
        (flickr_xml(head=BOMB + "]>"), "a DOCTYPE"),
        (BOMB + "]><annotation>&i;</annotation>", "a DOCTYPE"),
        (
            '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]><annotation>&f;</annotation>',
            "a DOCTYPE",
        ),
        (
            "<annotation><object><name>1</name><bndbox><xmin>one</xmin></bndbox></object>"
            "</annotation>",
            "could not convert",
        ),
    ],
)
def test_a_bad_box_file_is_quarantined(tmp_path, xml, problem):
    written(tmp_path, "[/EN#1/people a man] .\n", xml)
    records, quarantine = read(tmp_path)
    assert not records
    assert dict(quarantine.counts) == {"flickr30k: record: unreadable box file": 1}
    assert problem in quarantine.lines[0]


def test_a_bomb_in_another_encoding_is_refused_too():
    with pytest.raises(ValueError, match="a DOCTYPE"):
        flickr30k.parse_boxes((BOMB + "]><annotation>&i;</annotation>").encode("utf-16"))


def test_a_list_of_something_else_is_named(tmp_path):
    written(tmp_path, "a .\n", listed="36.jpg\n")
    with pytest.raises(ValueError, match=r"train\.txt .*'36\.jpg'"):
        read(tmp_path)


def test_the_sample(samples):
    root = samples.root / "flickr30k_entities_sample"
    records, quarantine = read(root)
    assert not quarantine.lines
    assert [r.image_id for r in records][:2] == ["flickr30k:36979", "flickr30k:65567"]
    assert len(records) == (8 if samples.is_real else 4)
    lines = [
        line
        for r in records
        for line in (root / f"Sentences/{r.image_id[10:]}.txt").read_text().splitlines()
    ]
    tags = [flickr30k.TAG.findall(line) for line in lines]
    assert (len(lines), sum(len(t) for t in tags)) == ((40, 129) if samples.is_real else (20, 40))
    assert all("[" not in r.caption and r.caption.count(" . ") >= 3 for r in records)
    assert tuple(len(flickr30k.image_ids(str(root), s)) for s in ("train", "val", "test")) == (
        (29783, 1000, 1000) if samples.is_real else (6, 1, 2)
    )
    assert read(root, "test")[0] == []


def test_boxes_of_the_sample(drawn_samples):
    """The real sample has none."""
    record = read(drawn_samples.root / "flickr30k_entities_sample")[0][0]
    assert record.boxes_xyxy.tolist() == [[10, 20, 60, 110], [80, 30, 140, 100]]
    named = dict(zip(record.phrases, record.phrase_boxes, strict=True))
    assert named == {"Two men": (0,), "a cup": (1,), "Men": (0,), "The cup": (1,)}
    assert "Nobody" not in record.caption  # sentence 4 does not describe this image
