"""What a pipeline's `settings` may hold besides fields of the recipe: what is rarely needed."""

from __future__ import annotations

from collections.abc import Sequence

OWN = {
    "job.queue": "Kueue LocalQueue for training on several nodes; none starts at once",
    "job.shared_memory": "/dev/shm in the pods of a TrainJob; half of the memory by default",
    "download.catalogue": "file or s3:// URI of your own catalogue, with your mirrors or datasets",
    "retrain.replay": "shards that the champion was trained on, if they have moved; or none",
}
"""Their names, and what they are."""


def of_recipe(settings: Sequence[str]) -> list[str]:
    """The settings that are fields of the recipe."""
    return [setting for setting in settings if _name(setting) not in OWN]


def value(settings: Sequence[str], name: str) -> str:
    """The last value of one of `OWN`; empty if it is not set."""
    if name not in OWN:
        raise KeyError(name)
    found = [s.partition("=")[2].strip() for s in settings if _name(s) == name]
    return found[-1] if found else ""


def names(settings: Sequence[str]) -> set[str]:
    """Which fields are set."""
    return {_name(setting) for setting in settings}


def _name(setting: str) -> str:
    return setting.partition("=")[0].strip()
