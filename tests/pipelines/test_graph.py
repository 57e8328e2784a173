"""The order of the steps, and what they hand on."""

from __future__ import annotations


def test_the_data_is_downloaded_before_it_is_read_and_cached_by_what_it_is(tasks):
    given = tasks["download"]["task"]["inputs"]["parameters"]
    settings = given.pop("settings")["taskOutputParameter"]
    assert settings == {"outputParameterKey": "data_settings", "producerTask": "configure"}
    assert {name: value["componentInputParameter"] for name, value in given.items()} == {
        "data": "data",
        "data_version": "data_version",
        "names": "download",
        "recipe": "recipe",
    }
    # `configure` refuses a wrong name.
    assert tasks["download"]["task"]["dependentTasks"] == ["configure"]
    read = tasks["draw-world"]["task"]["inputs"]["parameters"]["data"]
    output = {"outputParameterKey": "Output", "producerTask": "download"}
    assert read == {"taskOutputParameter": output}
    assert {"download", "settings"} <= tasks["configure"]["task"]["inputs"]["parameters"].keys()


def test_the_loop_takes_nothing_from_other_steps_but_its_item(spec):
    """`kfp.local` replaces any other step's output by the item."""
    steps = spec["root"]["dag"]["tasks"].values()
    (loop,) = [task for task in steps if "parameterIterator" in task]
    taken = [v for v in loop["inputs"]["parameters"].values() if "taskOutputParameter" in v]
    output = {"outputParameterKey": "Output", "producerTask": "plan-shards"}
    assert taken == [{"taskOutputParameter": output}]
    assert loop["iteratorPolicy"] == {"parallelismLimit": 4}


def test_nothing_is_registered_unless_the_gate_passed(spec):
    steps = spec["root"]["dag"]["tasks"]
    (condition,) = [
        task["triggerPolicy"]["condition"]
        for task in steps.values()
        if "gate" in task.get("dependentTasks", []) and "triggerPolicy" in task
    ]
    assert condition == "inputs.parameter_values['pipelinechannel--gate-Output'] == true"
    assert "register" not in steps
    assert "gate" in steps["show-decision"]["dependentTasks"]
