"""Trainings of toys, and a recipe that takes seconds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from omnidet import config, storage
from omnidet.data import shards
from omnidet.data.mixing.config import MixingConfig, Stream
from omnidet.data.mixing.mixture import Loader, Mixture
from omnidet.model import bundle
from omnidet.model.config import ModelConfig
from omnidet.model.detector import Detector
from omnidet.recipes.recipe import Recipe
from omnidet.recipes.tiny_world import tiny_world
from omnidet.storage import Location
from omnidet.training import metrics
from omnidet.training.config import OptimizerConfig, TrainConfig
from omnidet.training.distributed import World
from omnidet.training.loop import fit, seed_everything
from omnidet.training.objective import Loss
from omnidet.training.scoring import Scoring
from tests import toys

SMALL = (
    *("world.broken=1", "world.web_copies=1", "shards.max_bad_share=0.9"),
    *(
        "world.train_images=40",
        "world.val_images=8",
        "world.lvis_val_from_train=4",
        "world.refcocog_val_images=6",
    ),
    *(
        "world.refcocog_test_images=6",
        "world.flickr30k_train=20",
        "world.flickr30k_val=4",
        "world.flickr30k_test=6",
    ),
    *("world.laion_images=20", "world.cc12m_samples=20"),
    *("vocabulary.size=600", "model.embedding_width=32", "mixing.workers=0"),
    *("model.backbone.width=32", "model.backbone.depth=2", "model.backbone.num_heads=2"),
    *(
        "train.steps=10",
        "train.log_every=2",
        "train.checkpoint_every=4",
        "train.optimizer.warmup_steps=2",
    ),
)
"""Fields that make the demo run in seconds."""


def recipe() -> Recipe:
    """The demo with small numbers."""
    return config.override(tiny_world(), *SMALL)


TRAIN = TrainConfig(
    steps=12,
    optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=3),
    average_decay=0.9,
    log_every=2,
    checkpoint_every=4,
)


def train(
    index: shards.Index,
    folder: Location,
    losses: tuple[Loss, ...] = toys.LOSSES,
    train: TrainConfig = TRAIN,
    *,
    workers: int = 0,
    world: World | None = None,
    model: ModelConfig = toys.MODEL,
    provenance: dict[str, object] | None = None,
    new_rows: tuple[int, ...] = (),
    scoring: Scoring | None = None,
) -> Detector:
    """A toy run in `folder`, from its newest checkpoint if there is one."""
    seed_everything(train.seed)
    world = world or World(0, 1, torch.device("cpu"))
    detector = Detector(model, toys.toy_vocabulary().num_tokens)
    detector.tokens.new_rows = torch.tensor(new_rows, dtype=torch.long)
    streams = (
        Stream("det", ("train/coco",), 2),
        Stream("grd", ("train/refcocog",), 2, describes=True),
        Stream("img", ("train/laion",), 1, boxes=False, captions=True),
    )
    mixture = Mixture(
        index,
        toys.toy_vocabulary(),
        streams,
        MixingConfig(workers=workers),
        image_size=toys.IMAGE_SIZE,
        seed=train.seed,
        rank=world.rank,
        world_size=world.size,
    )
    if not storage.is_s3(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
    loader = Loader(mixture, train.steps)
    return fit(
        detector,
        loader,
        losses=losses,
        config=train,
        world=world,
        folder=folder,
        provenance=provenance,
        scoring=scoring,
    )


def toy_scoring(folder: Path, every: int) -> Scoring:
    """A score that rises and falls as the weights move, and is the same for the same weights."""

    def measure(detector: Detector) -> dict[str, float]:
        return {
            "AP": float(detector.tokens.embeddings.detach().double().sum().mul(1e4).sin().abs())
        }

    def save(place: Path, detector: Detector) -> None:
        bundle.save(place, detector, toys.toy_vocabulary(), list(toys.NAMES), {})

    return Scoring(str(folder), every, measure, save)


def at_call(loss: Loss, call: int, act: object) -> Loss:
    """The loss under its own name, which returns `act(term)` in call number `call` (from 0)."""
    count = -1

    def counted(*arguments: object) -> object:
        nonlocal count
        count += 1
        term = loss.function(*arguments)
        return act(term) if count == call else term

    return dataclasses.replace(loss, function=counted)


def metrics_rows(folder: Path) -> list[dict[str, float]]:
    """The metric log of a toy run."""
    return metrics.read(folder / "metrics.jsonl")
