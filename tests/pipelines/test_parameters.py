"""`name=value` -> typed parameters."""

from __future__ import annotations

import pytest

from pipelines import package, parameters


def test_values_get_the_type_of_their_parameter(spec):
    given = [
        *("train_steps=20", 'settings=["mixing.workers=0"]'),
        *('node_selector={"gpu": "true"}', "workspace=s3://b/w", "data_version=1"),
    ]
    assert parameters.parse(spec, given) == {
        "train_steps": 20,
        "settings": ["mixing.workers=0"],
        "node_selector": {"gpu": "true"},
        "workspace": "s3://b/w",
        "data_version": "1",
    }


def test_a_parameter_without_default_is_asked_for():
    spec = {"root": {"inputDefinitions": {"parameters": {"data": {"parameterType": "STRING"}}}}}
    with pytest.raises(ValueError, match="data has no default"):
        parameters.parse(spec, [])
    assert parameters.parse(spec, ["data=a=b"]) == {"data": "a=b"}


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("train_stps=20", r"did you mean train_steps\?"),
        ("xyz=1", "'xyz': it has backbone, backbone_weights, cpus_per_node"),
        ("train_steps=many", "'many'.* a whole number"),
        ("train_steps=010", "train_steps=010"),
        ("train_steps=1.5", "'1.5'.* a whole number"),
        ("train_steps=true", "'true'.* a whole number"),
        ("settings=mixing.workers=0", "a list"),
        ("node_selector=[]", "a mapping"),
        ("train_steps", "name=value"),
        (f"data={'x' * 10_000}", "10000"),
    ],
)
def test_what_does_not_fit_is_refused(spec, assignment, words):
    with pytest.raises(ValueError, match=words) as caught:
        parameters.parse(spec, [assignment])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"), [("fast", "'fast'.* a number"), (".inf", "'.inf' is not finite")]
)
def test_minutes_are_a_number(text, words):
    retrain = package.spec(package.path("retrain"))
    assert parameters.parse(retrain, ["data=d", "train_minutes=1e1"])["train_minutes"] == 10.0
    with pytest.raises(ValueError, match=words):
        parameters.parse(retrain, ["data=d", f"train_minutes={text}"])


def test_a_name_with_a_dot_is_a_field_of_the_recipe(spec):
    given = ["model.image_size=640", 'settings=["mixing.workers=0"]', "train.seed=3"]
    assert parameters.parse(spec, given) == {
        "settings": ["mixing.workers=0", "model.image_size=640", "train.seed=3"]
    }


@pytest.mark.parametrize("old", parameters.RENAMED)
@pytest.mark.parametrize("name", package.NAMES)
def test_a_name_of_before_is_refused_with_the_one_of_now(name, old):
    spec = package.spec(package.path(name))
    with pytest.raises(ValueError, match=rf"'{old}'.*: give \S+=7\b") as caught:
        parameters.parse(spec, [f"{old}=7"])
    now = str(caught.value).rpartition("give ")[2].partition("=")[0]
    assert "." in now or now in spec["root"]["inputDefinitions"]["parameters"]
