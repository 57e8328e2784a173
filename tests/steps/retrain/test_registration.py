"""A taught detector follows the champion, or is a model of its own."""

from __future__ import annotations

import json

import pytest

from omnidet.recipes import by_name
from omnidet.registry import versions
from omnidet.steps import retrain
from tests import toys


@pytest.fixture
def place(tmp_path):
    """A champion, a taught detector and the gate's word."""
    toys.write_bundle(tmp_path / "old", 1)
    toys.write_bundle(tmp_path / "new", 2)
    versions.register(tmp_path / "registry", "cups", tmp_path / "old", {"cups/AP": 0.5}, {})
    (tmp_path / "metrics.json").write_text(json.dumps({"keys/AP": 0.4}))
    (tmp_path / "gate.json").write_text(json.dumps({"passed": True, "reasons": []}))
    return tmp_path


def _register(place, model_name=""):
    champion = retrain.find_champion(str(place / "registry"), "champion")
    given = str(place / "new"), str(place), str(place / "registry"), champion
    return retrain.register(*given, by_name("photographs"), "keys", "v1", model_name)


def test_it_follows_the_champion_with_a_way_back(place):
    version, said = _register(place)
    assert (str(version), versions.aliases(place / "registry", "cups")) == (
        "cups@2",
        {"champion": 2},
    )
    assert "rollback cups" in said
    assert versions.rollback(place / "registry", "cups").number == 1


def test_a_name_of_its_own_leaves_the_champion_alone(place):
    version, said = _register(place, "keys")
    assert str(version) == "keys@1"
    assert "cups@1 stays" in said
    assert versions.aliases(place / "registry", "keys") == {"champion": 1}
    assert [v.number for v in versions.versions(place / "registry", "cups")] == [1]


def test_what_the_gate_refused_is_not_registered(place):
    content = {"passed": False, "reasons": ["keys/AP: low"]}
    (place / "gate.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="keys/AP: low"):
        _register(place)


@pytest.mark.parametrize(("states", "is_known"), [(["v1"], True), (["v1", "v2"], False)])
def test_the_champion_of_meanwhile_stays_if_this_is_the_state_that_it_knows(
    place, states, is_known
):
    champion = retrain.find_champion(str(place / "registry"), "champion")
    taught = {"taught": [{"name": "keys", "data_version": state, "from": ""} for state in states]}
    versions.register(place / "registry", "cups", place / "new", {}, taught)
    versions.promote(place / "registry", "cups", 1, expected=None)
    versions.promote(place / "registry", "cups", 2, expected=1)
    given = str(place / "new"), str(place), str(place / "registry"), champion
    if is_known:
        version, said = retrain.register(*given, by_name("photographs"), "keys", "v1")
        assert (str(version), "another run" in said) == ("cups@2", True)
    else:
        with pytest.raises(ValueError, match=r"cups@2 by now.*cups@1"):
            retrain.register(*given, by_name("photographs"), "keys", "v1")
