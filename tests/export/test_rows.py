"""Small graphs before and after: the same outputs from ONNX Runtime, and what works on rows."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from omnidet.export import rows
from omnidet.onnx import runtime

onnxruntime = runtime.load()
RANDOM = np.random.default_rng(0)
CONSTANTS = {
    "wide": RANDOM.standard_normal((4, 6)).astype(np.float32),
    "narrow": RANDOM.standard_normal((6, 4)).astype(np.float32),
    "bias6": RANDOM.standard_normal(6).astype(np.float32),
    "bias4": RANDOM.standard_normal(4).astype(np.float32),
    "places": RANDOM.standard_normal((1, 3, 4)).astype(np.float32),
    "heads": np.array([-1, 3, 2, 3], np.int64),
    "copied": np.array([0, 0, 2, 3], np.int64),
    "half": np.array(0.5, np.float32),
    "axes": np.array([1], np.int64),
}


def _model(nodes, tokens, outputs):
    graph = helper.make_graph(
        nodes,
        "graph",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, tokens),
            helper.make_tensor_value_info("names", TensorProto.FLOAT, [4, "names"]),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in CONSTANTS.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


def _node(operator, inputs, output, **attributes):
    return helper.make_node(operator, inputs.split(), [output], **attributes)


def _outputs(model, names=5):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    given = {
        "x": RANDOM.standard_normal((2, 3, 4)).astype(np.float32),
        "names": RANDOM.standard_normal((4, names)).astype(np.float32),
    }
    return session, given


def _same(nodes, outputs, tokens=("batch", 3, 4)):
    """Flattens, compares, and gives the ranks of what the changed graph computes."""
    model = _model(nodes, tokens, outputs)
    held = ir.serde.deserialize_model(model)
    changed = rows.flatten(held)
    after = ir.serde.serialize_model(held)
    onnx.checker.check_model(after)
    session, given = _outputs(model)
    found = onnxruntime.InferenceSession(after.SerializeToString())
    assert [one.name for one in found.get_outputs()] == outputs
    for wanted, own in zip(session.run(None, given), found.run(None, given), strict=True):
        assert wanted.shape == own.shape
        np.testing.assert_allclose(own, wanted, atol=1e-5)
    return changed, after


BLOCK = [
    _node("Add", "x places", "placed"),
    _node("LayerNormalization", "placed bias4 bias4", "normal"),
    _node("MatMul", "normal wide", "product"),
    _node("Add", "product bias6", "biased"),
    _node("Gelu", "biased", "active"),
    _node("MatMul", "active narrow", "back"),
    _node("Add", "bias4 back", "offset"),
    _node("Add", "placed offset", "y"),
]


@pytest.mark.parametrize("tokens", [("batch", 3, 4), ("batch", "number", 4), (2, 3, 4)])
def test_a_block_works_on_rows_between_two_changes_of_shape(tokens):
    changed, model = _same(BLOCK, ["y"], tokens)
    assert changed == 7  # all but the places, which are the same for each picture
    assert sum(node.op_type == "Reshape" for node in model.graph.node) == 2


def test_all_outputs_keep_names_and_shapes_even_of_unknown_width():
    nodes = [
        _node("MatMul", "x names", "scores"),
        _node("Sigmoid", "scores", "shares"),
        _node("Mul", "shares half", "halves"),
    ]
    changed, _ = _same(nodes, ["scores", "halves"], ("batch", "number", 4))
    assert changed == 3


def test_a_reshape_takes_rows_unless_it_copies_a_dimension():
    ahead = [_node("MatMul", "x wide", "product"), _node("Add", "product bias6", "sum")]
    counted = [*ahead, _node("Reshape", "sum heads", "y")]
    _, model = _same(counted, ["y"])
    assert sum(node.op_type == "Reshape" for node in model.graph.node) == 2
    copying = [*ahead, _node("Reshape", "sum copied", "y")]
    _, model = _same(copying, ["y"])
    assert sum(node.op_type == "Reshape" for node in model.graph.node) == 3


@pytest.mark.parametrize(
    "node",
    [
        _node("Softmax", "product", "y", axis=1),
        _node("ReduceMean", "product axes", "y"),
        _node("LayerNormalization", "product plane", "y", axis=1),
        _node("Transpose", "product", "y", perm=[0, 2, 1]),
        _node("Add", "product column", "y"),
        _node("Add", "product single", "y"),
    ],
    ids=lambda node: f"{node.op_type} {node.input[-1]}",
)
def test_what_looks_at_several_tokens_gets_them_as_they_were(node):
    CONSTANTS.update(
        plane=RANDOM.standard_normal((3, 6)).astype(np.float32),
        column=RANDOM.standard_normal((3, 1)).astype(np.float32),
        single=RANDOM.standard_normal((1, 3, 6)).astype(np.float32),
    )
    changed, _ = _same([_node("MatMul", "x wide", "product"), node], ["y"])
    assert changed == 1


def test_numbers_that_make_tokens_wider_are_not_added_to_rows():
    nodes = [
        _node("MatMul", "x thin", "product"),
        _node("Add", "product bias6", "y"),
    ]
    CONSTANTS["thin"] = RANDOM.standard_normal((4, 1)).astype(np.float32)
    changed, _ = _same(nodes, ["y"])
    assert changed == 1


def test_products_of_tokens_with_tokens_stay():
    nodes = [
        _node("Transpose", "x", "turned", perm=[0, 2, 1]),
        _node("MatMul", "x turned", "y"),
    ]
    assert _same(nodes, ["y"])[0] == 0
