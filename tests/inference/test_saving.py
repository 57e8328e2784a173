"""A saved detector is the same detector, and nothing is written over."""

from __future__ import annotations

import json

import numpy as np
import pytest

from omnidet.inference.detector import OmniDet
from tests import full_disk, toys

PICTURE = toys.png(64, 48, [(5, 5, 30, 30)])


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> OmniDet:
    folder = tmp_path_factory.mktemp("saving") / "model"
    toys.write_bundle(folder)
    return OmniDet.from_pretrained(folder)


def test_what_is_saved_loads_back(detector, tmp_path):
    folder = detector.save_pretrained(tmp_path / "saved")
    again = OmniDet.from_pretrained(folder)
    one, other = (d.detect(PICTURE, ["red star", "ring"]) for d in (detector, again))
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.boxes, other.boxes)
    assert again.names == toys.NAMES
    assert again.config["provenance"]["run"] == "toy"
    assert "zero-shot-object-detection" in (folder / "README.md").read_text()
    third = again.save_pretrained(tmp_path / "third")
    first = json.loads((folder / "config.json").read_text())
    assert json.loads((third / "config.json").read_text()) == first


def test_a_folder_that_holds_something_is_left_alone(detector, tmp_path):
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(FileExistsError, match=str(tmp_path)):
        detector.save_pretrained(tmp_path)
    with pytest.raises(FileExistsError, match="precious"):
        detector.save_pretrained(tmp_path / "precious")
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_full_disk_leaves_no_half_detector(detector, tmp_path):
    out = tmp_path / "saved"
    with full_disk.room_for(10_000), pytest.raises(OSError, match=r"saved.* cannot be written"):
        detector.save_pretrained(out)
    assert list(tmp_path.iterdir()) == []
    detector.save_pretrained(out)


def test_the_upload_is_what_is_saved(detector, monkeypatch):
    import huggingface_hub

    uploaded = {}

    class Hub(huggingface_hub.HfApi):
        def create_repo(self, repo_id, **options):
            uploaded["private"] = options["private"]
            return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

        def upload_folder(self, *, repo_id, folder_path, **options):
            files = {p.relative_to(folder_path).as_posix() for p in folder_path.rglob("*")}
            uploaded.update(repository=repo_id, files=files, options=options)
            uploaded["names"] = OmniDet.from_pretrained(folder_path).names

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    address = detector.push_to_hub("owner/toy", private=True, commit_message="first")
    assert address.endswith("owner/toy")
    assert uploaded["repository"] == "owner/toy"
    assert uploaded["private"] is True
    assert uploaded["options"] == {"commit_message": "first"}
    assert uploaded["names"] == toys.NAMES
    assert {"config.json", "model.safetensors", "README.md"} <= uploaded["files"]
