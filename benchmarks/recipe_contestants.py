"""Who takes part in `recipes.py`: what each changes in the recipe, and in nothing else."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from heads import grounding, owl

from omnidet.data.mixing.config import Stream
from omnidet.recipes.recipe import Recipe
from omnidet.training.config import WeightedLoss

STREAMS = ("det", "grd", "img")
STAGED = ("img", "det", "grd")
"""Captions first, then detection, then grounding."""
VERSIONS = {"ours": 1, "owl": owl.VERSION, "grounding": grounding.VERSION}
LOSSES = {
    "owl": {"caption": "heads.contrast:contrast"},
    "grounding": {
        "names": "heads.grounding:token_names",
        "caption": "heads.contrast:contrast",
    },
}
"""By head, its own loss for one of the product's, with the same weight."""


@dataclass(frozen=True)
class Contestant:
    """One column of the table."""

    about: str
    head: str = "ours"
    """One of `heads.BUILDERS`."""
    words: str = "roles"
    """One of `heads.words.WORDS`."""
    streams: tuple[str, ...] = STREAMS
    without: tuple[str, ...] = ()
    """Losses that are left out."""
    staged: bool = False
    composes: bool = True
    """Whether relations are composed from boxes."""
    asks: bool = False
    """Whether captions learn where their words are, by names that are asked in their images."""

    def stages(self, recipe: Recipe) -> tuple[Recipe, ...]:
        """The trainings, each from the weights of the one before; in all `recipe.train.steps`."""
        own = dataclasses.replace(recipe, losses=self._losses(recipe))
        if self.asks:
            own = _asking(own)
        if not self.composes:
            own = _without_relations(own)
        if not self.staged:
            return (_with_streams(own, self.streams),)
        return tuple(_stage(own, name) for name in STAGED)

    def _losses(self, recipe: Recipe) -> tuple[WeightedLoss, ...]:
        changed = LOSSES.get(self.head, {})
        dropped = {*self.without, *(("token_alignment",) if self.head != "ours" else ())}
        return tuple(
            dataclasses.replace(loss, name=changed.get(loss.name, loss.name))
            for loss in recipe.losses
            if loss.name not in dropped
        )


CONTESTANTS = {
    "ours": Contestant("the recipe as it is, with all three streams"),
    "owl-vit": Contestant("OWL-ViT's head and text encoder", "owl", "sequence"),
    "grounding-dino": Contestant("Grounding DINO's fusion and head", "grounding", "sequence"),
    "staged": Contestant("captions, then detection, then grounding", staged=True),
    "det": Contestant("the Det stream alone", streams=("det",)),
    "det+grd": Contestant("Det and Grd", streams=("det", "grd")),
    "det+img": Contestant("Det and Img", streams=("det", "img")),
    "no-token-alignment": Contestant(
        "without the token loss on regions", without=("token_alignment",)
    ),
    "no-region-alignment": Contestant(
        "regions do not compete for a phrase", without=("region_alignment",)
    ),
    "no-relations": Contestant("no relations composed from boxes", composes=False),
    "caption-regions": Contestant("and where the words of captions are", asks=True),
    "no-captions": Contestant("without captions, which is Det and Grd", streams=("det", "grd")),
    "bag-of-tokens": Contestant("without context tokens", words="bag"),
    "no-idf": Contestant("all tokens of a phrase weigh the same", words="equal"),
}
"""In the order in which they are run."""


def _asking(recipe: Recipe) -> Recipe:
    """With the loss on the places of words, which needs names that are asked."""
    extra = WeightedLoss("caption_regions", 0.1)
    streams = tuple(
        dataclasses.replace(s, asked_names=40) if s.captions else s for s in recipe.streams
    )
    return dataclasses.replace(recipe, losses=(*recipe.losses, extra), streams=streams)


def _without_relations(recipe: Recipe) -> Recipe:
    streams = tuple(
        dataclasses.replace(s, transforms=tuple(t for t in s.transforms if t != "relations"))
        for s in recipe.streams
    )
    return dataclasses.replace(recipe, streams=streams)


def _with_streams(recipe: Recipe, names: tuple[str, ...]) -> Recipe:
    """The other streams have no images, so that these keep the order of theirs."""
    streams = tuple(s if s.name in names else _sized(s, 0) for s in recipe.streams)
    return dataclasses.replace(recipe, streams=streams)


def _stage(recipe: Recipe, name: str) -> Recipe:
    """One stream alone, as many images of it in all as the joint training sees."""
    total = sum(stream.images_per_step for stream in recipe.streams)
    own = {stream.name: stream.images_per_step for stream in recipe.streams}[name]
    optimizer = recipe.train.optimizer
    warmup = max(1, round(optimizer.warmup_steps * own / total))
    train = dataclasses.replace(
        recipe.train,
        steps=max(1, round(recipe.train.steps * own / total)),
        optimizer=dataclasses.replace(optimizer, warmup_steps=warmup),
    )
    streams = tuple(_sized(s, total if s.name == name else 0) for s in recipe.streams)
    return dataclasses.replace(recipe, train=train, streams=streams)


def _sized(stream: Stream, images: int) -> Stream:
    return dataclasses.replace(stream, images_per_step=images)
