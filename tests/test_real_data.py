"""The main job on photographs: formats, joins and coordinates are right from file to metric.

On real ones where there are samples (`tests/samples`), else on drawn ones.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from omnidet import recipes
from omnidet.config import override
from omnidet.data.sharding.config import Dataset, ShardsConfig
from omnidet.inference.detector import OmniDet
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.model.backbones.conv_stem_vit import ConvStemVit
from omnidet.recipes.recipe import Recipe
from omnidet.steps import train_detector
from omnidet.training import metrics
from tests.samples import Samples

pytestmark = pytest.mark.slow


def test_overfits_eight_images(best_samples: Samples, tmp_path: Path) -> None:
    """AP50 > 0.9 on the images it was trained on: no box, token or coordinate is lost or moved."""
    write_coco_excerpt(best_samples.root / "coco_sample", tmp_path / "coco", num_images=8)
    recipe = overfit_recipe()
    # The same images train and evaluate: in one shard folder, the leak filter would drop them.
    training = dataclasses.replace(recipe, shards=dataclasses.replace(recipe.shards, evaluation=()))
    evaluation = dataclasses.replace(recipe, shards=dataclasses.replace(recipe.shards, train=()))
    train_detector.build_shards(tmp_path / "coco", str(tmp_path / "train"), training)
    train_detector.build_shards(tmp_path / "coco", str(tmp_path / "eval"), evaluation)
    train_detector.build_vocabulary(str(tmp_path / "train"), str(tmp_path / "vocabulary"), recipe)
    train_detector.train(
        str(tmp_path / "train"), str(tmp_path / "vocabulary"), tmp_path / "model", recipe
    )
    result = train_detector.evaluate(
        str(tmp_path / "model"),
        str(tmp_path / "eval"),
        str(tmp_path / "metrics.json"),
        str(tmp_path / "out"),
        recipe,
    )
    assert result.values["coco/AP50"] > 0.9, result.values


def test_the_main_job(best_samples: Samples, tmp_path: Path) -> None:
    """ViT-B/16 from random weights: the loss of each stream falls, and the steps fit together."""
    samples = best_samples.root
    recipe = override(
        recipes.by_name("coco_folder"),
        "model.image_size=96",
        "train.steps=40",
        "train.log_every=1",
        "train.optimizer.warmup_steps=5",
    )
    paths = {
        "cc12m": str(samples / "cc12m_sample"),
        "flickr30k": str(samples / "flickr30k_entities_sample"),
    }
    shards = str(tmp_path / "shards")
    index = train_detector.build_shards(samples / "coco_sample", shards, recipe, paths)
    assert {
        "train/coco",
        "train/cc12m",
        "train/flickr30k",
        "eval/coco",
        "eval/lvis_v0.5",
        "eval/refcocos",
    } <= set(index.sets)
    vocabulary = train_detector.build_vocabulary(shards, str(tmp_path / "vocabulary"), recipe)
    vocabulary.check_names(list(index.ground_truth["eval/lvis_v0.5"]["names"].values()))
    train_detector.train(shards, str(tmp_path / "vocabulary"), tmp_path / "model", recipe)
    rows = metrics.read(tmp_path / "model" / "training.jsonl")
    weights = {weighted.name: weighted.weight for weighted in recipe.losses}
    for stream in ("det", "grd", "img"):
        losses = [
            sum(weight * row.get(f"{stream}/{name}", 0.0) for name, weight in weights.items())
            for row in rows
        ]
        assert sum(losses[-8:]) < sum(losses[:8]), (stream, losses)
    for term in ("det/names", "grd/names", "grd/token_alignment", "img/caption"):
        values = [row[term] for row in rows if term in row]
        assert sum(values[-8:]) < sum(values[:8]), (term, values)
    model, numbers = str(tmp_path / "model"), str(tmp_path / "metrics.json")
    values = train_detector.evaluate(model, shards, numbers, str(tmp_path / "out"), recipe).values
    assert {"coco/AP", "lvis_v0.5/AP", "refcocos/AIGT"} <= set(values)
    train_detector.write_report(
        model, shards, str(tmp_path / "out"), str(tmp_path / "report.html"), recipe
    )
    version, is_new = train_detector.register(model, numbers, tmp_path / "registry", recipe)
    assert is_new
    picture = next((samples / "coco_sample/images/val2017").glob("*.jpg")).read_bytes()
    detector = OmniDet.from_pretrained(version.folder())
    prompt = detector.prompt(["person", "dog left of the car"])  # no warning of words never heard
    found = detector.detect([picture], prompt, max_detections=5)[0]
    assert found.boxes_xyxy.shape == (5, 4)


def overfit_recipe() -> Recipe:
    """The tiny world's model on eight photographs, without augmentation."""
    base = recipes.by_name("tiny_world")
    dataset = Dataset("train/coco", "coco", ".", "train2017")
    recipe = dataclasses.replace(
        base,
        world=None,
        shards=ShardsConfig(
            train=(dataset,), evaluation=(Dataset("eval/coco", "coco", ".", "val2017"),)
        ),
        model=dataclasses.replace(base.model, image_size=128, backbone=ConvStemVit()),
        streams=(
            dataclasses.replace(
                base.streams[0], sets=("train/coco",), images_per_step=8, transforms=()
            ),
        ),
        evaluation=EvaluationConfig((Benchmark("coco", "coco", "eval/coco"),)),
    )
    return override(
        recipe,
        "train.steps=220",
        "train.average_decay=0.9",
        "mixing.workers=0",
        "mixing.max_names=80",
    )


def write_coco_excerpt(source: Path, target: Path, num_images: int) -> None:
    """The first images with one to six large boxes and no crowd, as both train2017 and val2017."""
    content = json.loads((source / "annotations/instances_train2017.json").read_text())
    boxes: dict[int, list[dict]] = {}
    for annotation in content["annotations"]:
        boxes.setdefault(annotation["image_id"], []).append(annotation)
    usable = [
        image
        for image in sorted(content["images"], key=lambda image: image["id"])
        if 1 <= len(boxes.get(image["id"], [])) <= 6
        and all(not a["iscrowd"] and min(a["bbox"][2:]) >= 40 for a in boxes[image["id"]])
    ][:num_images]
    assert len(usable) == num_images
    chosen = {image["id"] for image in usable}
    excerpt = {
        **content,
        "images": usable,
        "annotations": [a for a in content["annotations"] if a["image_id"] in chosen],
    }
    for split in ("train2017", "val2017"):
        (target / "annotations").mkdir(parents=True, exist_ok=True)
        (target / f"annotations/instances_{split}.json").write_text(json.dumps(excerpt))
        (target / split).mkdir()
        for image in usable:
            shutil.copy(
                source / "images/train2017" / image["file_name"],
                target / split / image["file_name"],
            )
