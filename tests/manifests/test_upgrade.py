"""`kubectl apply -k` upon what is there already: nothing immutable is patched, and two teams do not
meet."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import omnidet
from components.run.training import RUNTIME
from tests.manifests.conftest import MANIFESTS, Object, kustomize, objects, one, the_runtime


def _built(folder: Path, overlay: str, *changes: tuple[str, str, str]) -> list[Object]:
    """What a copy of an overlay gives after changes: file, old text, new text."""
    shutil.copytree(MANIFESTS, folder)
    for file, old, new in changes:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")
    return objects(kustomize(folder / "overlays" / overlay))


def _key(item: Object) -> tuple[str, str, str]:
    meta = item["metadata"]
    return item["kind"], meta.get("namespace", ""), meta["name"]


PATCH = """\
      - op: replace
        path: /spec/template/spec/failurePolicy/maxRestarts
        value: 7
"""
CHANGES = {
    "the overlay of another machine": (),
    "more restarts in the runtime": (
        ("base/training-runtime.yaml", "maxRestarts: 3", "maxRestarts: 7"),
    ),
    "more restarts by a patch": (
        ("overlays/local/kustomization.yaml", "    patch: |-\n", f"    patch: |-\n{PATCH}"),
    ),
    "another image": (("base/kustomization.yaml", "newTag: 0.1.0", "newTag: 0.1.1"),),
    "a new version": (
        ("base/training-runtime.yaml", "omnidet-torch-0-1-0", "omnidet-torch-0-1-1"),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_runtime_is_another_object(name: str, tmp_path: Path) -> None:
    overlay = "cluster" if name == "the overlay of another machine" else "local"
    before = objects(kustomize(MANIFESTS / "overlays/local"))
    after = _built(tmp_path / "manifests", overlay, *CHANGES[name])
    old, new = the_runtime(before), the_runtime(after)
    assert old["spec"] != new["spec"] or name == "a new version"
    assert old["metadata"]["name"] != new["metadata"]["name"]
    assert _told(after) == new["metadata"]["name"]


def test_what_stays_equal_is_the_same_object(tmp_path: Path) -> None:
    """Applying the same manifests again makes no second runtime."""
    before = objects(kustomize(MANIFESTS / "overlays/local"))
    again = _built(tmp_path / "manifests", "local")
    assert [_key(item) for item in again] == [_key(item) for item in before]


def test_the_runtimes_name_carries_the_version_and_fits_a_name(
    overlay: tuple[str, list[Object]],
) -> None:
    name = the_runtime(overlay[1])["metadata"]["name"]
    version = omnidet.__version__.replace(".", "-")
    assert re.fullmatch(rf"omnidet-torch-{version}-[a-z0-9]{{10}}", name)
    assert len(name) <= 63
    assert _told(overlay[1]) == name


def test_a_step_may_read_the_runtime_that_it_is_told(overlay: tuple[str, list[Object]]) -> None:
    rules = one(overlay[1], "Role", "omnidet-launcher")["rules"]
    (rule,) = [rule for rule in rules if "trainingruntimes" in rule["resources"]]
    assert rule["verbs"] == ["get"]
    assert rule["apiGroups"] == [the_runtime(overlay[1])["apiVersion"].partition("/")[0]]


@pytest.mark.parametrize("overlay_name", ["local", "cluster"])
def test_two_namespaces_share_no_object(overlay_name: str, tmp_path: Path) -> None:
    """A second team's install takes nothing from the first one."""
    file = f"overlays/{overlay_name}/namespaced/kustomization.yaml"
    namespace = {"local": "kubeflow", "cluster": "omnidet"}[overlay_name]
    first = objects(kustomize(MANIFESTS / "overlays" / overlay_name))
    changes = [(file, f"namespace: {namespace}", "namespace: team-b")]
    if overlay_name == "cluster":
        changes.append(
            (
                "overlays/cluster/namespaced/namespace.yaml",
                "name: omnidet\n",
                "name: team-b\n",
            )
        )
    second = _built(tmp_path / "manifests", overlay_name, *changes)
    assert not {_key(item) for item in first} & {_key(item) for item in second}
    cluster_wide = {item["kind"] for item in second if "namespace" not in item["metadata"]}
    assert cluster_wide <= {"Namespace"}


def _told(built: list[Object]) -> str:
    """The runtime that a step finds in its environment."""
    name: str = one(built, "ConfigMap", "omnidet-training")["data"][RUNTIME]
    return name
