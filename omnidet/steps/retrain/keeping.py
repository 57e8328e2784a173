"""What a retraining must not make worse: which benchmarks, by how much, below which versions."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from omnidet import storage
from omnidet.data import shards
from omnidet.evaluation.metric_names import is_headline
from omnidet.model.seal import INDEX_NAME
from omnidet.recipes.recipe import Recipe
from omnidet.registry.versions import Version
from omnidet.steps.retrain.champion import BY_OPTION, TAUGHT, Remedies
from omnidet.storage import Location

ALL, NONE = "all", "none"


@dataclass(frozen=True)
class Kept:
    """What the gate looks at."""

    drops: dict[str, float]
    """Benchmark -> how far its headline numbers may fall below the champion's."""
    left_out: tuple[str, ...]
    """Benchmarks of the champion that the gate does not look at."""

    def describe(self) -> str:
        """For people, in one or two lines."""
        lines = []
        if self.drops:
            each = ", ".join(f"{name} by {drop:g} at most" for name, drop in self.drops.items())
            lines.append(f"must not drop: {each}")
        if self.left_out:
            first = self.left_out[0]
            lines.append(
                f"may drop: {', '.join(self.left_out)} (--keep {first} holds it, --keep all holds "
                "all)"
            )
        return "\n".join(lines) or "nothing was measured before that could drop"


def kept(champion: Version, recipe: Recipe, name: str) -> Kept:
    """The benchmarks of the champion that are kept.

    Those of the user's own data are, and those of a drawn world are not, unless `retrain.keep` says
    otherwise.

    Args:
        name: the new dataset, which is judged by what it gains.

    Raises ValueError for a name that the champion was not measured on.
    """
    wanted = recipe.retrain
    known = [n for n in benchmarks(champion) if n != name]
    drawn = _drawn(champion, recipe)
    named: dict[str, float] = {}
    for entry in wanted.keep:
        given, equals, drop = entry.partition("=")
        if given in (ALL, NONE):
            continue
        if given not in known:
            raise ValueError(
                f"--keep {entry}: {champion} was not measured on {given!r}: give one of "
                f"{', '.join(known) or 'none'}"
            )
        named[given] = float(drop) if equals else wanted.max_drop
    if ALL in wanted.keep:
        chosen: Collection[str] = known
    elif NONE in wanted.keep:
        chosen = ()
    else:
        chosen = [n for n in known if n not in drawn]
    drops = {n: named.get(n, wanted.max_drop) for n in known if n in chosen or n in named}
    return Kept(drops, tuple(n for n in known if n not in drops))


def require_measured(
    champion: Version,
    recipe: Recipe,
    name: str,
    replay: Location | None,
    remedies: Remedies = BY_OPTION,
) -> None:
    """Raise ValueError if the shards to replay do not hold what a benchmark that is kept is
    measured on: the gate would refuse whatever is trained beside them.
    """
    if replay is None:
        return
    places = {benchmark.name: benchmark.set_name for benchmark in recipe.evaluation.benchmarks}
    sets = shards.read_index(replay).sets
    kept_ones = kept(champion, recipe, name).drops
    missing = [n for n in kept_ones if places.get(n, f"eval/{n}") not in sets]
    if missing:
        others = [NONE, *(n for n in kept_ones if n not in missing)]
        by_option = " ".join(f"--keep {n}" for n in others)
        left = by_option if remedies is BY_OPTION else f"retrain.keep={json.dumps(others)}"
        raise ValueError(
            f"{replay} holds no evaluation pictures of {', '.join(missing)}, which must not drop: "
            f"give the shards that {champion} was trained on ({remedies.replay}FOLDER), or "
            f"give up {missing[0]} ({left})"
        )


def benchmarks(version: Version) -> list[str]:
    """Those with a headline number, in the order of its metrics."""
    return list(dict.fromkeys(key.partition("/")[0] for key in version.metrics if is_headline(key)))


def _drawn(champion: Version, recipe: Recipe) -> set[str]:
    """Benchmarks of a drawn world, which no dataset that was taught has replaced."""
    if recipe.world is None:
        return set()
    taught = {lesson["name"] for lesson in champion.provenance.get(TAUGHT, [])}
    return {benchmark.name for benchmark in recipe.evaluation.benchmarks} - taught


def line_of(champion: Version) -> tuple[list[Version], list[str]]:
    """The versions that the champion descends from, the first one first and itself last, and those
    that the registry no longer holds.
    """
    registry = champion.location.rstrip("/").rpartition("/")[0].rpartition("/")[0]
    found, missing = [], []
    for lesson in champion.provenance.get(TAUGHT, []):
        name, at, number = str(lesson.get("from") or "").partition("@")
        if not at:
            continue
        place = storage.join(registry, name, number)
        if storage.exists(storage.join(place, INDEX_NAME)):
            found.append(Version(name, int(number), place))
        else:
            missing.append(f"{name}@{number}")
    return [*found, champion], missing


def firsts(line: list[Version]) -> dict[str, tuple[float, Version]]:
    """Each headline number as the first version of the line that has it."""
    known: dict[str, tuple[float, Version]] = {}
    for version in line:
        for key, value in version.metrics.items():
            if is_headline(key):
                known.setdefault(key, (value, version))
    return known
