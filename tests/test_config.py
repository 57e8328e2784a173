"""Changing one field by name, and plain data there and back."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from omnidet.config import describe, override, override_nested, parse
from omnidet.data.transforms.mosaic import Mosaic
from omnidet.model.backbones.conv_stem_vit import ConvStemVit
from omnidet.model.backbones.timm_vit import TimmVit
from omnidet.model.config import ModelConfig
from omnidet.recipes import RECIPES, by_name
from omnidet.recipes.recipe import Recipe
from omnidet.training.config import WeightedLoss


@dataclass(frozen=True)
class Optimizer:
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True)
class Train:
    steps: int = 10
    optimizer: Optimizer = field(default_factory=Optimizer)
    names: tuple[str, ...] = ("a",)
    limit: float | None = None
    resume: bool = False
    note: str = ""


@dataclass(frozen=True)
class Run:
    train: Train = field(default_factory=Train)
    second: Train | None = None
    name: str = "run"


def test_nested_field():
    before = Run()
    after = override(before, "train.optimizer.learning_rate=0.5", "train.steps=100", "name=other")
    assert after.train.optimizer.learning_rate == 0.5
    assert (after.train.steps, after.name) == (100, "other")
    assert after == dataclasses.replace(
        before,
        name="other",
        train=dataclasses.replace(before.train, steps=100, optimizer=Optimizer(0.5)),
    )
    assert before == Run()


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("train.optimizer.learning_rate=1e-3", 0.001),
        ("train.optimizer.learning_rate=3", 3.0),
        ("train.optimizer.betas=[0.5, 1]", (0.5, 1.0)),
        ("train.names=[x, y, z]", ("x", "y", "z")),
        ("train.names=[]", ()),
        ("train.limit=2", 2.0),
        ("train.limit=null", None),
        ("train.limit=", None),
        ("train.resume=true", True),
        ("train.note=a=b", "a=b"),
        (" train.steps = 7", 7),
    ],
)
def test_values_are_read_as_the_field_asks(assignment, value):
    config = override(override(Run(), "train.limit=9"), assignment)
    for name in assignment.partition("=")[0].strip().split("."):
        config = getattr(config, name)
    assert config == value
    assert type(config) is type(value)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("train.stepz=1", "unknown field 'train.stepz': Train has steps, optimizer, "),
        ("trian.steps=1", "unknown field 'trian.steps': Run has train, second, name"),
        (
            "train.steps.more=1",
            "unknown field 'train.steps.more': 'steps' has no fields of its own",
        ),
        ("second.steps=1", "unknown field 'second.steps': 'second' has no fields of its own"),
        ("train.steps=ten", "train.steps='ten' does not fit: expected int"),
        ("train.steps=1.5", "train.steps=1.5 does not fit: expected int"),
        ("train.steps=true", "train.steps=True does not fit: expected int"),
        ("train.steps=null", "train.steps=None does not fit: expected int"),
        ("train.optimizer.learning_rate=fast", "learning_rate='fast' does not fit: expected float"),
        ("train.optimizer.learning_rate=true", "learning_rate=True does not fit: expected float"),
        ("train.optimizer.betas=[1]", r"betas=\[1\] does not fit: expected tuple\[float, float\]"),
        ("train.names=abc", r"names='abc' does not fit: expected tuple\[str, \.\.\.\]"),
        ("train.names=[1]", "train.names=1 does not fit: expected str"),
        ("train.limit=x", r"limit='x' does not fit: expected float \| None"),
        ("train.resume=1", "train.resume=1 does not fit: expected bool"),
        ("name=5", "name=5 does not fit: expected str"),
        ("train=5", "train=5 does not fit: expected Train"),
        ("train.steps", "'train.steps' is not of the form field=value"),
        ("train.names=[a", r"'train.names=\[a': '\[a' is not a YAML value"),
    ],
)
def test_what_does_not_exist_or_fit_is_refused(assignment, message):
    with pytest.raises(ValueError, match=message) as caught:
        override(Run(), assignment)
    assert "\n" not in str(caught.value)


def test_fields_that_only_fit_together_can_be_changed_in_any_order():
    """A side of 518 is no multiple of the 16 pixels before, and 128 none of the 14 after."""
    recipe = by_name("coco_folder")
    settings = ("model.image_size=518", "model.backbone.name=vit_small_patch14_dinov2")
    for order in (settings, settings[::-1]):
        changed = override(recipe, *order)
        assert (changed.model.image_size, changed.model.backbone.stride) == (518, 14)
    name = {"name": "vit_small_patch14_dinov2"}
    values = {"model": {"image_size": 518, "backbone": name}}
    assert override_nested(recipe, values) == changed
    for assignment in settings:
        with pytest.raises(ValueError, match=r"model.image_size=\d+ is not a multiple of"):
            override(recipe, assignment)


def test_a_part_of_several_is_named():
    recipe = by_name("tiny_world")
    changed = override(recipe, "streams.grd.images_per_step=3")
    assert [s.images_per_step for s in changed.streams if s.name == "grd"] == [3]
    assert [s for s in changed.streams if s.name != "grd"] == [
        s for s in recipe.streams if s.name != "grd"
    ]
    assert override_nested(recipe, {"streams": {"grd": {"images_per_step": 3}}}) == changed
    for wrong in ("streams.gdr.images_per_step=3", "streams.grd=3"):
        with pytest.raises(ValueError, match=r"det, grd, img.*streams\.det\.FIELD"):
            override(recipe, wrong)
    with pytest.raises(ValueError, match=r"'streams\.grd\.images'.*images_per_step"):
        override(recipe, "streams.grd.images=3")


def test_nested_mapping():
    values = {
        "name": "other",
        "train": {"steps": 5, "optimizer": {"learning_rate": "1e-2"}, "names": ["p", "q"]},
    }
    expected = override(
        Run(),
        "name=other",
        "train.steps=5",
        "train.optimizer.learning_rate=0.01",
        "train.names=[p, q]",
    )
    assert override_nested(Run(), values) == expected
    assert override_nested(Run(), {}) == Run()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"train": {"optimizer": {"rate": 1}}},
            "unknown field 'train.optimizer.rate': Optimizer has learning_rate, betas",
        ),
        (
            {"train": {"optimizer": {"learning_rate": []}}},
            r"train.optimizer.learning_rate=\[\] does not fit",
        ),
        ({"train": {"steps": {"a": 1}}}, "train.steps={'a': 1} does not fit"),
        ({"nothing": {"a": 1}}, "unknown field 'nothing'"),
    ],
)
def test_nested_mapping_is_refused_by_its_whole_path(values, message):
    with pytest.raises(ValueError, match=message):
        override_nested(Run(), values)


def test_describe_gives_plain_data():
    config = {
        "run": Run(),
        "path": Path("a/b"),
        "parts": (Optimizer, 1)[1:],
        "mosaic": Mosaic(),
        3: None,
    }
    described = describe(config)
    assert json.loads(json.dumps(described)) == described
    assert described["run"]["train"]["optimizer"] == {"learning_rate": 1e-4, "betas": [0.9, 0.999]}
    assert described["run"]["second"] is None
    assert described["path"] == "a/b"
    assert described["mosaic"] == {"kind": "mosaic", "shares": [0.4, 0.3, 0.3]}
    assert (described["parts"], described["3"]) == ([1], None)


@pytest.mark.parametrize("part", [describe, json, Optimizer])
def test_a_function_in_a_recipe_is_refused(part):
    """Its name would depend on the Python module that contains it today."""
    with pytest.raises(TypeError, match="give its name"):
        describe({"part": part})


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.__name__)
def test_the_plain_form_of_a_recipe_names_no_python_module(recipe):
    """So a file that moves throws no run away: a run's folder is named by a hash over this."""
    assert "omnidet." not in json.dumps(describe(recipe()))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.__name__)
def test_a_whole_recipe_there_and_back(recipe):
    """A detector carries its recipe: a retraining takes it from there."""
    assert parse(Recipe, json.loads(json.dumps(describe(recipe())))) == recipe()


def test_parts_are_named_by_their_files():
    recipe = by_name("tiny_world")
    changed = override(
        recipe,
        "streams.det.transforms=[flip, phrase_crop]",
        "streams.det.combine=mosaic",
        "matching.matcher=hungarian",
        "losses.caption.weight=0.5",
        "model.backbone=timm_vit",
        "model.backbone.window=4",
    )
    assert changed.streams[0].transforms == ("flip", "phrase_crop")
    assert changed.streams[0].combine == "mosaic"
    assert WeightedLoss("caption", 0.5) in changed.losses
    assert changed.model.backbone == TimmVit(window=4)
    nested = {"model": {"backbone": {"kind": "timm_vit", "window": 4}}}
    assert override_nested(recipe, nested).model == changed.model


@pytest.mark.parametrize(
    ("assignment", "value", "known"),
    [
        ("streams.det.transforms=[flap]", "flap", "flip"),
        ("streams.det.transforms=[1]", "1", "streams.det.transforms"),
        ("matching.matcher=greedy", "greedy", "hungarian"),
        ("model.backbone=resnet", "resnet", "conv_stem_vit"),
    ],
)
def test_a_part_that_there_is_not_is_refused(assignment, value, known):
    with pytest.raises(ValueError, match=value) as caught:
        override(by_name("tiny_world"), assignment)
    assert known in str(caught.value)


def test_what_older_versions_wrote_without_a_kind_is_read():
    content = describe(ModelConfig(backbone=ConvStemVit(width=64, num_heads=2)))
    del content["backbone"]["kind"]
    assert parse(ModelConfig, content).backbone == ConvStemVit(width=64, num_heads=2)


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(
            image_size=128,
            backbone=ConvStemVit(width=64, depth=2, drop_path=0.25),
            embedding_width=32,
        ),
        ModelConfig(
            image_size=320,
            backbone=TimmVit(name="vit_small_patch16_224", weights="random", drop_path=0.0),
        ),
        ModelConfig(),
    ],
)
def test_model_config_there_and_back(config):
    assert parse(ModelConfig, json.loads(json.dumps(describe(config)))) == config


def test_nested_config_there_and_back():
    config = Run(
        train=Train(names=("x", "y"), limit=1.5),
        second=Train(optimizer=Optimizer(betas=(0.1, 0.2))),
    )
    assert parse(Run, json.loads(json.dumps(describe(config)))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "ModelConfig has no field 'colour'"),
        (
            {"backbone": {"width": 1, "name": "x"}},
            "ModelConfig.backbone has unknown fields: width, name",
        ),
        (
            {"backbone": describe(ConvStemVit()) | {"window": 7}},
            "ConvStemVit has no field 'window'",
        ),
        ({"image_size": "big"}, "image_size='big' does not fit: expected int"),
        ({"backbone": 3}, "backbone=3 does not fit"),
    ],
)
def test_content_of_another_version_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        parse(ModelConfig, describe(ModelConfig()) | change)


@pytest.mark.parametrize(
    "assignment",
    [
        *(
            "train.steps=0",
            "train.steps=-5",
            "train.log_every=0",
            "train.checkpoint_every=0",
            "train.seed=-1",
        ),
        *(
            "train.average_decay=2",
            "train.optimizer.learning_rate=-1",
            "train.optimizer.max_gradient_norm=0",
        ),
        *(
            "train.optimizer.warmup_steps=-1",
            "mixing.max_names=0",
            "mixing.window_shards=0",
            "mixing.workers=-1",
        ),
        *(
            "model.image_size=100",
            "model.image_size=0",
            "model.embedding_width=0",
            "model.backbone.depth=0",
        ),
        *(
            "train.optimizer.beta2=5.0",
            "train.optimizer.learning_rate=inf",
            "train.optimizer.weight_decay=nan",
        ),
        *(
            "train.seed=99999999999999999999",
            "matching.cost.names=nan",
            "matching.cost.gamma=-3.0",
            "matching.cost.alpha=1.5",
        ),
        *(
            "mixing.cache_gigabytes=inf",
            "model.backbone.drop_path=1.0",
            "model.backbone.drop_path=-0.5",
        ),
        *(
            "vocabulary.size=-1",
            "vocabulary.min_frequency=0",
            "shards.samples_per_shard=0",
            "shards.max_bad_share=2",
        ),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_by_name(assignment):
    field, _, value = assignment.partition("=")
    with pytest.raises(ValueError, match=rf"^{field}={value}.*give"):
        override(by_name("tiny_world"), assignment)


@pytest.mark.parametrize("text", ["010", "0x10", "1:30", "-007"])
def test_numbers_that_yaml_reads_otherwise_than_people(text):
    with pytest.raises(ValueError, match=f"train.steps={text}"):
        override(Run(), f"train.steps={text}")
    assert override(Run(), "train.steps=1_000").train.steps == 1000
