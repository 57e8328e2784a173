"""What the components of the retraining do beside one call of a step: the run's folder, the champion it noted, artifacts.

<workspace>/runs/<id>/    notice.json  dataset  new  shards  vocabulary  zero_shot  model  evaluation  metrics.json ...

`python -m components.run.retrain '{...}'` is one process of `teach` on several GPUs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from components.run import train_detector
from omnidet import storage
from omnidet.registry import versions
from omnidet.registry.versions import Version
from omnidet.steps import retrain

NOTICE = "notice.json"


class Noticed(NamedTuple):
    """What a run is about, as its first step wrote it down."""

    folder: str
    champion: Version
    dataset: str
    data_version: str

    def part(self, name: str) -> str:
        """Location of something in the run's folder."""
        return storage.join(self.folder, name)


def run_folder(workspace: str, run_id: str) -> str:
    """The folder of one run. Raises ValueError without an id."""
    if not run_id:
        raise ValueError("the run has no id: its outputs would stand where those of other runs do")
    train_detector.check_places({"workspace": workspace})
    return storage.join(workspace, "runs", run_id)


def notice(data: str, dataset: str, registry: str, champion: str, folder: str) -> bool:
    """Whether there is anything to learn; then the champion that all later steps start from is written down."""
    train_detector.check_places({"data": data, "registry": registry})
    train_detector.check_registry(registry)
    found = retrain.notice(data, registry, champion, dataset)
    print(found.why)
    if found.is_new:
        retrain.require_whole(found.champion)
        content = {
            "champion": str(found.champion),
            "dataset": dataset,
            "data_version": found.data_version,
            "data": data,
        }
        storage.write_text(storage.join(folder, NOTICE), json.dumps(content, indent=1) + "\n")
    return found.is_new


def read_notice(folder: str, registry: str) -> Noticed:
    """What `notice` wrote."""
    content = json.loads(storage.read_text(storage.join(folder, NOTICE)))
    champion = versions.find(registry, content["champion"])
    return Noticed(folder, champion, content["dataset"], content["data_version"])


def gather(
    data: str, replay: str, folder: str, registry: str, name: str, settings: Sequence[str]
) -> str:
    """Read the new data, build its shards beside the old ones, extend the vocabulary; gives the run's folder."""
    run, recipe = read_notice(folder, registry), train_detector.recipe(name, settings)
    print(retrain.read(data, run.part("dataset"), run.data_version))
    old = retrain.replay_of(run.champion, replay or None)
    print(
        retrain.build_shards(
            run.part("dataset"), old, run.part("new"), run.part("shards"), recipe, run.dataset
        )
    )
    print(
        retrain.extend_vocabulary(
            run.part("shards"), run.champion.location, run.part("vocabulary"), run.dataset
        )
    )
    return folder


def teach(folder: str, registry: str, name: str, settings: Sequence[str], gpus: int) -> str:
    """Measure the champion on the new benchmark, then teach it, in one process a GPU; gives the location of the detector."""
    run, recipe = read_notice(folder, registry), train_detector.recipe(name, settings)
    retrain.zero_shot(
        run.part("shards"), run.champion.location, run.part("zero_shot"), recipe, run.dataset
    )
    if gpus <= 1:
        train(folder, registry, name, settings)
    else:
        given = json.dumps(
            {"folder": folder, "registry": registry, "name": name, "settings": list(settings)}
        )
        torchrun = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={gpus}",
        ]
        ran = subprocess.run([*torchrun, "-m", "components.run.retrain", given])
        if ran.returncode:
            raise RuntimeError(
                f"training in {gpus} processes ended with exit code {ran.returncode}: see above"
            )
    return run.part("model")


def train(folder: str, registry: str, name: str, settings: Sequence[str]) -> None:
    """Teach the champion that the run noted."""
    run, recipe = read_notice(folder, registry), train_detector.recipe(name, settings)
    shards, vocabulary, model = (run.part(part) for part in ("shards", "vocabulary", "model"))
    retrain.train(shards, vocabulary, run.champion, model, recipe, run.dataset, run.data_version)


def judge(
    folder: str,
    model: str,
    registry: str,
    name: str,
    settings: Sequence[str],
    metrics_file: str,
    table: str,
    report: str,
) -> dict[str, float]:
    """Old and new benchmarks and the report into the run's folder, and copies for the UI."""
    run, recipe = read_notice(folder, registry), train_detector.recipe(name, settings)
    retrain.evaluate(run.part("shards"), run.champion, model, folder, recipe, run.dataset)
    values: dict[str, float] = json.loads(storage.read_text(run.part("metrics.json")))
    before = json.loads(storage.read_text(storage.join(folder, "before", storage.INDEX_NAME)))[
        "values"
    ]
    rows = "".join(
        f"| {key} | {_shown(before.get(key))} | {_shown(value)} |\n"
        for key, value in values.items()
    )
    Path(metrics_file).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    Path(table).write_text(
        f"# {run.champion}\n\n| metric | before | after |\n|---|---|---|\n{rows}", encoding="utf-8"
    )
    Path(report).write_bytes(storage.read_bytes(run.part("report.html")))
    return values


def gate(folder: str, registry: str, name: str, settings: Sequence[str]) -> bool:
    """Whether nothing is forgotten and the new is learned."""
    run = read_notice(folder, registry)
    decision = retrain.gate(
        folder, run.champion, train_detector.recipe(name, settings), run.dataset
    )
    print("\n".join(decision.reasons) or "passed")
    return decision.passed


def register(
    folder: str, registry: str, name: str, settings: Sequence[str], out: str
) -> dict[str, str]:
    """Register and move the alias, if it still points to the champion that the run started from; returns what was noted."""
    run, recipe = read_notice(folder, registry), train_detector.recipe(name, settings)
    version, said = retrain.register(
        run.part("model"), folder, registry, run.champion, recipe, run.dataset, run.data_version
    )
    print(said)
    facts = {"version": str(version), "registry": registry, "model": run.part("model")}
    content = json.dumps(facts, indent=1) + "\n"
    storage.write_text(run.part("registered.json"), content)
    Path(out).write_text(content, encoding="utf-8")
    return facts


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    train(**json.loads(sys.argv[1]))
