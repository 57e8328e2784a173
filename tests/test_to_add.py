"""The README's table "to add": one file in the folder that it names, and a name in a recipe.

A dataset is added in tests/data/sources/test_contract.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = {
    "matching/greedy.py": """
import numpy as np

def greedy(cost_QN):
    regions, columns, cost = [], [], np.array(cost_QN, float)
    for _ in range(min(cost.shape)):
        q, n = np.unravel_index(cost.argmin(), cost.shape)
        regions.append(q)
        columns.append(n)
        cost[q], cost[:, n] = np.inf, np.inf
    return np.array(regions, np.int64), np.array(columns, np.int64)
""",
    "losses/small_boxes.py": """
from omnidet.schema import LossTerm

def small_boxes(predictions, batch, matches):
    areas_B = predictions.boxes_cxcywh_BQ4[..., 2:].prod(-1).mean(1)
    return LossTerm(areas_B @ batch.stream_BS, batch.stream_BS.sum(0))
""",
    "data/transforms/darken.py": """
import dataclasses

def darken(example, random):
    return dataclasses.replace(example, pixels=example.pixels // 2)
""",
    "measures/images.py": """
from omnidet.measures.measure import Measure
from omnidet.schema import Metrics

def _predict(detector, index, set_name, images):
    for number, record in images:
        yield number, [{"image_id": record.image_id}]

def _evaluate(index, set_name, rows):
    return Metrics("images", "images that were seen", {"count": float(sum(1 for _ in rows))})

images = Measure(_predict, _evaluate, "images")
""",
    "model/backbones/one_layer.py": """
import dataclasses
from typing import ClassVar

from torch import nn

from omnidet.model.backbone import Backbone

@dataclasses.dataclass(frozen=True)
class OneLayer:
    kind: ClassVar[str] = "one_layer"
    stride: ClassVar[int] = 16
    size_multiple: ClassVar[int] = 16
    width: int = 24

    def check_side(self, side):
        pass

    def without_weights(self):
        return self

    def build(self, image_size):
        return _Module(self.width)

class _Module(Backbone):
    def __init__(self, width):
        super().__init__(width, 16, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        self.layer = nn.Conv2d(3, width, 16, 16)

    def forward(self, images_BCHW):
        return self.layer(self.normalised(images_BCHW)).flatten(2).transpose(1, 2)

    def parameter_groups(self, weight_decay, layer_decay):
        return [{"params": list(self.parameters()), "weight_decay": weight_decay}]
""",
}
PROGRAM = """
import dataclasses, json, sys
from omnidet import config
from omnidet.data.mixing.config import Stream
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.recipes.recipe import Recipe
from omnidet.steps import train_detector
from omnidet.training.config import WeightedLoss
from tests import toy_runs, toys

recipe = config.override(
    toy_runs.recipe(),
    "matching.matcher=greedy",
    "matching.early_regions=0",
    "streams.det.transforms=[flip, darken]",
    "model.backbone=one_layer",
    "model.backbone.width=16",
    "train.new_knob=5",
    "train.steps=2",
)
recipe = dataclasses.replace(
    recipe,
    losses=(*recipe.losses, WeightedLoss("small_boxes", 0.1)),
    streams=(*recipe.streams, Stream("more", ("train/coco",), 2)),
    evaluation=EvaluationConfig((Benchmark("images", "images", "eval/coco"),)),
)
assert config.parse(Recipe, json.loads(json.dumps(config.describe(recipe)))) == recipe
assert recipe.train.new_knob == 5 and recipe.model.backbone.width == 16
world, shards, words, model = (f"{sys.argv[1]}/{part}" for part in ("w", "s", "v", "m"))
train_detector.draw_world(world, recipe)
train_detector.build_shards(world, shards, recipe)
train_detector.build_vocabulary(shards, words, recipe)
train_detector.train(shards, words, model, recipe)
places = (f"{model}.json", f"{model}.evaluation")
values = train_detector.evaluate(model, shards, *places, recipe).values
assert values["images/count"] > 0, values
(row,) = [json.loads(line) for line in open(f"{model}/training.jsonl")][-1:]
assert row["det/small_boxes"] > 0 and row["more/names"] > 0, row
content = json.load(open(f"{model}/config.json"))
assert content["model"]["backbone"] == {"kind": "one_layer", "width": 16}
"""


@pytest.mark.slow
def test_one_file_and_a_name_in_a_recipe_are_all_that_a_part_needs(tmp_path):
    shutil.copytree(
        ROOT / "omnidet", tmp_path / "omnidet", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name, content in FILES.items():
        (tmp_path / "omnidet" / name).write_text(content)
    settings = tmp_path / "omnidet" / "training" / "config.py"
    text = settings.read_text()
    assert text.count("    steps: int\n") == 1
    settings.write_text(text.replace("    steps: int\n", "    steps: int\n    new_knob: int = 3\n"))
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


STEP = """
import json

from omnidet import storage

def count_tokens(vocabulary, out):
    facts = json.loads(storage.read_text(storage.join(vocabulary, "vocabulary.json")))
    storage.write_text(out, json.dumps({"num_tokens": facts["num_tokens"]}))
"""
COMPONENT = """
from kfp import dsl

from components import images

@dsl.component(base_image=images.DATA, install_kfp_package=False)
def count_tokens(vocabulary: str, out: str) -> str:
    from omnidet.steps import count_tokens as step

    step.count_tokens(vocabulary, out)
    return out
"""
PIPELINE = """
import json, sys
from pathlib import Path
from kfp import compiler, dsl
from components.build_vocabulary import build_vocabulary
from components.count_tokens import count_tokens
from tests import toy_runs, toys

@dsl.pipeline(name="with-one-more-step")
def pipeline(shards: str, folder: str, recipe: str = "tiny_world"):
    words = build_vocabulary(shards=shards, data_folder=folder, recipe=recipe, settings=[])
    count_tokens(vocabulary=words.output, out="counts.json")

folder = sys.argv[1]
compiler.Compiler().compile(pipeline, f"{folder}/pipeline.yaml")
words = toys.write_vocabulary(Path(folder, "words"))
counts = count_tokens.python_func(f"{folder}/words", f"{folder}/counts.json")
assert json.loads(Path(counts).read_text()) == {"num_tokens": words.num_tokens}
"""


@pytest.mark.slow
def test_a_step_is_one_function_and_one_component_that_a_pipeline_names(tmp_path):
    for folder in ("omnidet", "components"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    (tmp_path / "omnidet" / "steps" / "count_tokens.py").write_text(STEP)
    (tmp_path / "components" / "count_tokens.py").write_text(COMPONENT)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PIPELINE, str(tmp_path)],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    compiled = yaml.safe_load((tmp_path / "pipeline.yaml").read_text())
    tasks = compiled["root"]["dag"]["tasks"]
    assert tasks["count-tokens"]["dependentTasks"] == ["build-vocabulary"]
