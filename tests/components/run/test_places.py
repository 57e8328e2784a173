"""Where a run keeps what it makes, and which places are refused."""

from __future__ import annotations

import pytest

from components.run import places


def test_a_run_has_a_folder_of_its_own():
    assert places.run_folder("s3://b/w", "abc") == "s3://b/w/runs/abc"
    with pytest.raises(ValueError, match="no id"):
        places.run_folder("s3://b/w", "")
    with pytest.raises(ValueError, match="workspace is empty"):
        places.run_folder("", "abc")


def test_the_same_facts_share_a_folder():
    folder = places.data_folder("s3://b/w", ["0.1", {"a": 1, "b": 2}])
    assert folder == places.data_folder("s3://b/w", ["0.1", {"b": 2, "a": 1}])
    assert folder != places.data_folder("s3://b/w", ["0.1", {"a": 1, "b": 3}])
    assert folder.startswith("s3://b/w/data/")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("", "registry is empty"),
        (" ", "registry is empty"),
        ("gs://a/b", "registry=gs://a/b is neither"),
        ("s3://", "registry=s3:// names no bucket"),
        ("s3:///folder", "registry=s3:///folder names no bucket"),
    ],
)
def test_wrong_places_are_refused(place, words):
    with pytest.raises(ValueError, match=words):
        places.check({"data": "s3://b/d", "registry": place})


def test_a_folder_of_a_pod_would_be_lost(tmp_path, monkeypatch):
    places.check({"data": str(tmp_path)})
    with pytest.raises(ValueError, match=f"data={tmp_path} .*lost .*s3://"):
        places.check({"data": str(tmp_path)}, is_on_cluster=True)
    monkeypatch.setattr(places, "NAMESPACE_FILE", tmp_path / "namespace")
    (tmp_path / "namespace").write_text("team\n")
    assert places.namespace() == "team"
    with pytest.raises(ValueError, match=f"data={tmp_path} .*lost"):
        places.check({"data": str(tmp_path)})
    places.check({"data": str(tmp_path)}, is_on_cluster=False)


def test_a_registry_that_is_away_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL_REGISTRY_ADDRESS", "model-registry:8080")
    with pytest.raises(ValueError, match="MODEL_REGISTRY_ADDRESS='model-registry:8080'"):
        places.check_registry(str(tmp_path))
    monkeypatch.delenv("MODEL_REGISTRY_ADDRESS")
    places.check_registry(str(tmp_path))
    with pytest.raises(ValueError, match=f"registry={__file__}"):
        places.check_registry(__file__)


@pytest.mark.parametrize("place", ["s3:/b/x", "s3:b/x", "S3://b/x", "s3:///b/x"])
def test_an_address_that_is_nearly_one_of_s3(place):
    with pytest.raises(ValueError, match="workspace") as caught:
        places.check({"workspace": place})
    assert place in str(caught.value)
