"""Settings that `omnidet finetune` would ignore, and what to give instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

EXTENDING: Mapping[str, str] = {
    "world": "a retraining draws no world",
    "shards.train": "the sets are those of the folder",
    "shards.evaluation": "the sets are those of the folder",
    "shards.hash_images": "only the very same picture is kept out",
    "vocabulary": "the champion's vocabulary is extended",
    "model": "the architecture is the champion's; retrain.image_size sets that of new pictures",
    "train.steps": "give --minutes or --steps",
    "train.optimizer.learning_rate": "give retrain.learning_rate",
    "train.optimizer.new_token_rate": "give retrain.new_token_rate",
    "train.optimizer.warmup_steps": "give retrain.warmup_steps",
    "register": "give --as to register under another name",
    "gate.max_drop": "give retrain.max_drop, or --keep NAME=DROP",
}
"""What a taught detector does not take from its recipe."""
NEW: Mapping[str, str] = {
    "world": "a folder of photographs draws no world",
    "shards.train": "the sets are those of the folder",
    "shards.evaluation": "the sets are those of the folder",
    "train.steps": "give --minutes or --steps",
    "evaluation": "the detector is measured on the folder's own pictures",
    "register": "give --as to register under another name",
    "gate.max_drop": "there is no champion to compare with",
    "gate.drops": "there is no champion to compare with",
    "retrain.steps": "give --minutes or --steps",
    "retrain.learning_rate": "give train.optimizer.learning_rate",
    "retrain.warmup_steps": "give train.optimizer.warmup_steps",
    "retrain.new_token_rate": "every token is new: give train.optimizer.learning_rate",
    "retrain.frozen_layers": "give model.backbone.frozen_layers",
    "retrain.image_size": "give model.image_size",
    "retrain.new_images": "give streams.det.images_per_step",
    "retrain.new_weight": "there is one stream alone",
    "retrain.balanced": "there is one stream alone",
    "retrain.replay_share": "there is nothing to replay",
    "retrain.max_drop": "there is no champion to compare with",
    "retrain.max_total_drop": "there is no champion to compare with",
    "retrain.min_gain": "there is no champion to compare with; retrain.min_ap50 is the limit",
    "retrain.keep": "there is no champion to compare with",
}
"""What a new detector does not."""
MEASURED: Mapping[str, str] = {
    "train.score_every": "what fits into the time is measured",
    "train.score_images": "what fits into the time is measured",
}
"""What the budget sets, in both cases."""


def refuse_ignored(
    settings: Sequence[str], ignored: Mapping[str, str], has_length: bool = False
) -> None:
    """Raise ValueError for a setting without effect, with the name of the right one.

    Args:
        settings: `field=value`.
        ignored: the fields, or the parts of a recipe, that have none.
        has_length: whether `--minutes` or `--steps` was given.
    """
    without_effect = {**ignored, **MEASURED}
    if has_length:
        without_effect.setdefault("retrain.steps", "--minutes or --steps decides; give one of them")
    refuse(settings, without_effect, "--set ")


def refuse(settings: Sequence[str], without_effect: Mapping[str, str], option: str = "") -> None:
    """Raise ValueError for a setting that is in a table like those above, or part of what is."""
    for setting in settings:
        field = setting.partition("=")[0].strip()
        for name, remedy in without_effect.items():
            if field == name or field.startswith(f"{name}."):
                raise ValueError(f"{option}{setting} has no effect here: {remedy}")
