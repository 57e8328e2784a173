"""What a person asks a retraining for, checked: a setting has an effect, or is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.run import own_settings
from omnidet.commands import overrides
from omnidet.recipes.recipe import Recipe
from omnidet.registry import versions


def _without(table: Mapping[str, str], *parts: str) -> dict[str, str]:
    """The table of `omnidet finetune` without what it has options for, and the pipeline takes as
    settings."""
    return {part: why for part, why in table.items() if part not in parts}


TAUGHT: Mapping[str, str] = {
    **_without(overrides.EXTENDING, "register"),
    "download": "nothing is downloaded",
    "train.steps": "give train_steps",
    "gate.max_drop": 'give retrain.max_drop, or retrain.keep=["NAME=DROP"]',
}
"""What a taught detector does not take, and what to give instead."""
NEW: Mapping[str, str] = {
    **_without(overrides.NEW, "register", "train.steps"),
    "download": "nothing is downloaded",
    "retrain.steps": "give train_steps",
}
"""What a new detector does not."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a person gives to the pipeline.

    Attributes:
        champion: the version to teach, as `champion`, `NAME` or `NAME@3`.
        backbone: makes a new detector from this network; empty teaches the champion, and makes one
            only where the registry holds none.
        train_minutes: how long to train in one process; 0 leaves the steps to the recipe.
        train_steps: how many steps to train instead; 0 leaves it to the minutes.
        retry_refused: whether to try again what has been refused, or made, before.
        num_processes: that train together.
    """

    data: str
    dataset: str
    registry: str
    champion: str
    recipe: str
    settings: Sequence[str] = ()
    backbone: str = ""
    backbone_weights: str = ""
    train_minutes: float = 0
    train_steps: int = 0
    retry_refused: bool = False
    num_processes: int = 1

    @property
    def names_champion(self) -> bool:
        """Whether a version is named: then nothing else is taught, and no new detector made."""
        return self.champion != versions.CHAMPION


def check(asked: Asked) -> None:
    """Raise ValueError for what can be seen to be wrong without the registry."""
    require_length(asked)
    if asked.backbone:
        if asked.names_champion:
            raise ValueError(
                f"champion={asked.champion} backbone={asked.backbone}: the first is to be taught, "
                "the second makes a new detector; leave out one of them"
            )
        require_effect(asked, is_new=True)


def require_length(asked: Asked) -> None:
    """Raise ValueError for minutes or steps that make no training, or that several processes cannot
    measure."""
    own, steps = asked.train_minutes, asked.train_steps
    if own < 0 or steps < 0:
        raise ValueError(f"train_minutes={own:g} train_steps={steps}: give 0 or more")
    if asked.num_processes > 1 and minutes(own, steps, asked.settings):
        raise ValueError(
            f"train_minutes={own:g} is measured in one process, and {asked.num_processes} are "
            "to train: give train_steps=N, or train_minutes=0 for the steps of the recipe"
        )


def require_effect(asked: Asked, is_new: bool) -> None:
    """Raise ValueError for a setting that changes nothing, with the name of the right one."""
    table, length = (dict(NEW), "train.steps") if is_new else (dict(TAUGHT), "retrain.steps")
    if asked.train_steps:
        table[length] = "train_steps decides; give one of them"
    if minutes(asked.train_minutes, asked.train_steps, asked.settings):
        table |= overrides.MEASURED
    if is_new and own_settings.value(asked.settings, "retrain.replay") not in ("", "none"):
        table["retrain.replay"] = "there is nothing to replay"
    overrides.refuse(asked.settings, table)


def minutes(own: float, steps: int, settings: Sequence[str]) -> float:
    """How long to train; 0 if the steps are given."""
    return 0 if steps or own_settings.names(settings) & {"train.steps", "retrain.steps"} else own


def model_name(settings: Sequence[str], recipe: Recipe, dataset: str) -> str:
    """What a taught detector is registered as; empty for the champion's next version.

    One that was taught without the old pictures has forgotten them: it takes nobody's place.
    """
    if "register.name" in own_settings.names(settings):
        return recipe.register.name
    return dataset if own_settings.value(settings, "retrain.replay") == "none" else ""


def alone(settings: Sequence[str]) -> list[str]:
    """The settings; where nothing old is replayed, nothing old is measured or kept either.

    Raises ValueError for a benchmark that is to be kept all the same.
    """
    if own_settings.value(settings, "retrain.replay") != "none":
        return list(settings)
    kept = [s for s in settings if own_settings.names([s]) == {"retrain.keep"}]
    if kept:
        raise ValueError(
            f"{kept[-1]} retrain.replay=none: without the old pictures nothing old is measured; "
            "leave out one of them"
        )
    return [*settings, 'retrain.keep=["none"]']
