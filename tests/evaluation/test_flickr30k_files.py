"""Flickr30K Entities in files: `omnidet evaluate` and `omnidet score` count the same."""

import hashlib
import json

import numpy as np
import pytest

from omnidet import cli
from omnidet.data.sharding import build
from omnidet.data.sharding.config import Dataset, ShardsConfig
from omnidet.data.sources import flickr30k
from omnidet.inference.detector import OmniDet
from omnidet.measures import run
from omnidet.measures.config import Benchmark, EvaluationConfig
from tests import toys
from tests.data.sources.handmade import flickr_box, flickr_xml, jpeg, write

SENTENCES = {
    "36": (
        "[/EN#1/people A man] with [/EN#2/other a cup] and [/EN#3/people a man] .",
        "",
        "[/EN#1/people a man] beside [/EN#4/scene a field] , [/EN#0/notvisual it] is late .",
        "[/EN#5/animals Two dogs] sleep .",
    ),
    "1000": ("[/EN#7/people The man] eats [/EN#8/other a cup] .", "[/EN#8/other a cup]"),
}
BOXES = {
    "36": {
        "1": [(1, 2, 9, 20)],
        "2": [(20, 2, 30, 9)],
        "3": [(30, 2, 39, 28)],
        "5": [(1, 20, 9, 29), (10, 20, 19, 29)],
    },
    "1000": {"7": [(2, 2, 20, 20)], "8": [(1, 1, 5, 5), (30, 20, 38, 28)]},
}
CONFIG = EvaluationConfig((Benchmark("flickr30k", "flickr30k", "eval/flickr30k"),))


class Guesses(OmniDet):
    """Gives any words in any image the same boxes every time, some of them near the true ones."""

    def __init__(self):
        super().__init__(toys.toy_detector(), toys.toy_vocabulary(), {})

    def locate(self, image, phrases, top=1, **_):
        found = []
        for words in phrases:
            seed = hashlib.sha256(image + words.lower().encode()).digest()
            random = np.random.default_rng(list(seed))
            every = np.array(
                [box for own in BOXES.values() for boxes in own.values() for box in boxes],
                np.float32,
            )
            boxes = every[random.permutation(len(every))[:top]] + random.integers(
                -1, 2, (1, 4)
            ).astype(np.float32)
            found.append((boxes, np.linspace(0.9, 0.1, len(boxes), dtype=np.float32)))
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("entities")
    write(root / "test.txt", "36\n1000\n")
    write(root / "UNRELATED_CAPTIONS", "36 4\n")
    for image_id, sentences in SENTENCES.items():
        objects = [
            flickr_box([chain], box) for chain, boxes in BOXES[image_id].items() for box in boxes
        ]
        write(root / f"Sentences/{image_id}.txt", "\n".join(sentences) + "\n")
        write(root / f"Annotations/{image_id}.xml", flickr_xml(*objects, flickr_box(["4"], None)))
        write(root / f"flickr30k-images/{image_id}.jpg", jpeg(int(image_id)))
    return root


@pytest.fixture(scope="module")
def index(folder, tmp_path_factory):
    config = ShardsConfig(
        train=(), evaluation=(Dataset("eval/flickr30k", "flickr30k", folder.name, "test"),)
    )
    return build.build(folder.parent, str(tmp_path_factory.mktemp("shards") / "shards"), config)


def test_evaluate_and_score_agree_on_the_same_predictions(folder, index, tmp_path):
    evaluated = run.in_one_process(Guesses(), index, CONFIG, tmp_path)
    counts = evaluated.details["flickr30k"]["counts"]
    # Image 36 has a sentence with 3 phrases with boxes, one with 1 (the field has no box), and one
    # with 1 that is not part of the record.
    assert (counts["images"], counts["evaluated"]) == (2, 3 + 1 + 1 + 2 + 1)
    said = {
        (row["image_id"], row["phrase"].lower()): row["boxes_xyxy"]
        for row in json.loads((tmp_path / "eval_flickr30k.json").read_text())
    }
    rows = []
    for image_id, sentences in SENTENCES.items():
        for number, line in enumerate(line for line in sentences if line):
            tags = [
                words
                for chain, words in flickr30k.parse_sentence(line)[1]
                if chain in BOXES[image_id]
            ]
            boxes = [said[f"flickr30k:{image_id}", words.lower()] for words in tags]
            rows.append({"image_id": image_id, "sentence_id": number, "boxes": boxes})
    found = write(tmp_path / "found.json", json.dumps(rows))
    for truth in (folder, f"{index.location}/{index.ground_truth['eval/flickr30k']['file']}"):
        arguments = [
            "--ground-truth",
            str(truth),
            "--detections",
            str(found),
            "--json",
            str(tmp_path / "numbers.json"),
        ]
        assert cli.main(["score", "flickr30k", *arguments]) == 0
        numbers = json.loads((tmp_path / "numbers.json").read_text())
        assert {f"flickr30k/{name}": value for name, value in numbers.items()} == evaluated.values
    assert 0 < evaluated.values["flickr30k/R@1"] < evaluated.values["flickr30k/R@10"]
    assert evaluated.values["flickr30k/R@5"] != evaluated.values["flickr30k/R@5_merged"]


def test_predictions_of_another_set_are_refused(index, tmp_path):
    (tmp_path / "eval_flickr30k.json").write_text("[]")
    with pytest.raises(ValueError, match=r"eval/flickr30k.*'A man' of image flickr30k:36"):
        run.evaluate(index, CONFIG, [], tmp_path)
