"""`name=value` -> typed parameters."""

from __future__ import annotations

import pytest

from pipelines import parameters


def test_values_get_the_type_of_their_parameter(spec):
    given = [
        *("train_steps=20", "learning_rate=1e-4", 'settings=["mixing.workers=0"]'),
        *('node_selector={"gpu": "true"}', "workspace=s3://b/w", "data_version=1"),
    ]
    assert parameters.parse(spec, given) == {
        "train_steps": 20,
        "learning_rate": 1e-4,
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
        ("xyz=1", "'xyz': it has catalogue, cpu, data"),
        ("train_steps=many", "'many'.* a whole number"),
        ("train_steps=010", "train_steps=010"),
        ("train_steps=1.5", "'1.5'.* a whole number"),
        ("train_steps=true", "'true'.* a whole number"),
        ("learning_rate=fast", "'fast'.* a number"),
        ("learning_rate=.inf", "'.inf' is not finite"),
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
