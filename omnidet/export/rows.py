"""An ONNX graph of tokens (B, N, W) -> the same of rows (B*N, W).

ONNX Runtime adds a bias within a matrix product only if the product has two dimensions. Between
attentions everything that happens to a token happens to it alone, so those stretches of the graph
can do without the third dimension: 13 % of the demo's detector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

_SAME_FOR_EACH_NUMBER = frozenset(
    {"Cast", "Erf", "Gelu", "HardSigmoid", "HardSwish", "Relu", "Sigmoid", "Sqrt", "Tanh"}
)
_OF_TWO = frozenset({"Add", "Div", "Mul", "Sub"})


def flatten(model: ir.Model) -> int:
    """Change the model in place; gives the number of operators that now work on rows.

    Inputs and outputs keep their names and shapes.
    """
    return _Flattening(model.graph).run()


class _Flattening:
    """The state of one pass over a graph, in the order of computation."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._flat: dict[ir.Value, ir.Value] = {}
        """Tokens -> rows of the same numbers. Both are one value where an operator gives rows."""
        self._restored: dict[ir.Value, ir.Value] = {}
        """Rows -> tokens again, for what needs them."""
        self._shapes: dict[ir.Value, tuple[ir.Shape, ir.Value]] = {}
        """Rows -> the shape of the tokens, and tokens that have the same first two dimensions."""

    def run(self) -> int:
        """Change the graph; gives the number of operators that were changed."""
        changed = 0
        for node in list(self._graph):
            if self._is_row_wise(node):
                self._change(node)
                changed += 1
            else:
                self._give_tokens(node)
        for place, value in enumerate(self._graph.outputs):
            if value in self._shapes:
                self._keep_output(place, value)
        return changed

    def _is_row_wise(self, node: ir.Node) -> bool:
        """Whether the operator treats each token alone, and is worth changing or follows one."""
        if node.domain not in ("", "ai.onnx") or len(node.outputs) != 1 or not node.inputs:
            return False
        first = node.inputs[0]
        if node.op_type in _OF_TWO:
            return self._is_row_wise_of_two(node.inputs)
        if first is None or not (first in self._shapes or _width(first)):
            return False
        if node.op_type in _SAME_FOR_EACH_NUMBER:
            return first in self._shapes
        if node.op_type == "MatMul":
            return _rank(node.inputs[1]) == 2 and node.inputs[1] not in self._shapes
        if node.op_type == "LayerNormalization":
            axis = node.attributes.get_int("axis", -1)
            return axis in (-1, 2) and all(_rank(given) == 1 for given in node.inputs[1:] if given)
        return False

    def _is_row_wise_of_two(self, inputs: Sequence[ir.Value | None]) -> bool:
        """Whether one is rows, and the other as many or a number for each column."""
        shapes = [self._token_shape(given) for given in inputs]
        if not any(given in self._shapes for given in inputs):
            return False
        wide = [shape for shape in shapes if shape is not None]
        if len(wide) == 2:
            are_rows = all(given in self._shapes or _width(given) for given in inputs if given)
            return are_rows and all(_same_size(*sizes) for sizes in zip(*wide, strict=True))
        (other,) = (given for given, shape in zip(inputs, shapes, strict=True) if shape is None)
        rank = _rank(other)
        # Numbers for more columns than there are would make the tokens wider.
        return rank == 0 or (rank == 1 and other.shape[0] in (1, wide[0][2]))  # type: ignore[union-attr,index]

    def _token_shape(self, value: ir.Value | None) -> tuple[object, ...] | None:
        """The three dimensions of tokens, whether they are rows by now or not."""
        if value is None:
            return None
        shape = self._shapes[value][0] if value in self._shapes else value.shape
        return tuple(shape) if shape is not None and len(shape) == 3 else None

    def _change(self, node: ir.Node) -> None:
        """Let the operator work on rows."""
        output = node.outputs[0]
        assert output.shape is not None
        source: ir.Value | None = None
        for place, given in enumerate(node.inputs):
            if given is not None and (given in self._shapes or _rank(given) == 3):
                rows = self._rows_of(given, node)
                node.replace_input_with(place, rows)
                source = source or self._shapes[rows][1]
        assert source is not None
        if node.op_type == "LayerNormalization":
            node.attributes["axis"] = ir.AttrInt64("axis", -1)
        self._shapes[output] = output.shape, source
        output.shape = ir.Shape([None, output.shape[2]])

    def _rows_of(self, tokens: ir.Value, user: ir.Node) -> ir.Value:
        """The numbers of tokens as rows, made before the operator that uses them first."""
        if tokens in self._shapes:
            return tokens
        if tokens not in self._flat:
            assert tokens.shape is not None
            producer, given = tokens.producer(), tokens
            if producer is not None and producer.op_type == "Reshape":
                given = producer.inputs[0] or tokens  # one change of the shape is enough
            shape = self._constant([-1, _width(tokens)])
            rows = self._insert("Reshape", [given, shape], tokens, user)
            rows.shape = ir.Shape([None, _width(tokens)])
            self._shapes[rows] = tokens.shape, tokens
            self._flat[tokens] = rows
        return self._flat[tokens]

    def _give_tokens(self, node: ir.Node) -> None:
        """Restore what an operator reads that does not work on rows."""
        for place, given in enumerate(node.inputs):
            if given in self._shapes and not (place == 0 and _counts_only(node)):
                assert given is not None
                node.replace_input_with(place, self._tokens_of(given))

    def _tokens_of(self, rows: ir.Value) -> ir.Value:
        if rows not in self._restored:
            producer = rows.producer()
            assert producer is not None
            shape = self._shapes[rows][0]
            tokens = self._insert("Reshape", [rows, rows], rows, producer, after=True)
            tokens.shape = shape
            reshape = tokens.producer()
            assert reshape is not None
            reshape.replace_input_with(1, self._target(shape, rows, producer))
            self._restored[rows] = tokens
        return self._restored[rows]

    def _target(self, shape: ir.Shape, rows: ir.Value, producer: ir.Node) -> ir.Value:
        """The shape of tokens as a value, before the operator that needs it."""
        if sum(not isinstance(size, int) for size in shape) <= 1:
            return self._constant([size if isinstance(size, int) else -1 for size in shape])
        source = self._shapes[rows][1]
        first = ir.node("Shape", [source], {"start": 0, "end": 2})
        last = ir.node("Shape", [rows], {"start": 1, "end": 2})
        joined = ir.node("Concat", [first.outputs[0], last.outputs[0]], {"axis": 0})
        for made in (first, last, joined):
            made.outputs[0].dtype = ir.DataType.INT64
        self._graph.insert_after(producer, [first, last, joined])
        return joined.outputs[0]

    def _keep_output(self, place: int, rows: ir.Value) -> None:
        """Give an output of the graph its shape and its name back."""
        name = rows.name
        tokens = self._tokens_of(rows)
        rows.name = f"{name}_rows"
        tokens.name = name
        self._graph.outputs[place] = tokens

    def _insert(
        self,
        operator: str,
        inputs: Sequence[ir.Value],
        like: ir.Value,
        where: ir.Node,
        *,
        after: bool = False,
    ) -> ir.Value:
        node = ir.node(operator, inputs)
        if like.dtype is not None:
            node.outputs[0].dtype = like.dtype
        (self._graph.insert_after if after else self._graph.insert_before)(where, node)
        return node.outputs[0]

    def _constant(self, numbers: Sequence[int]) -> ir.Value:
        name = "shape_" + "_".join(str(number).replace("-1", "any") for number in numbers)
        known = self._graph.initializers.get(name)
        if known is None:
            tensor = ir.tensor(np.array(numbers, np.int64), name=name)
            known = ir.Value(
                name=name,
                shape=ir.Shape([len(numbers)]),
                type=ir.TensorType(ir.DataType.INT64),
                const_value=tensor,
            )
            self._graph.register_initializer(known)
        return known


def _rank(value: ir.Value | None) -> int | None:
    return None if value is None or value.shape is None else len(value.shape)


def _width(value: ir.Value) -> int:
    """Numbers of a token, if the value is tokens of a known width; otherwise 0."""
    shape = value.shape
    width = shape[2] if shape is not None and len(shape) == 3 else 0
    return width if isinstance(width, int) else 0


def _same_size(one: object, other: object) -> bool:
    """Whether two dimensions are known to be equal: two unknown ones need not be."""
    if isinstance(one, ir.SymbolicDim) and one.value is None:
        return False
    return bool(one == other)


def _counts_only(node: ir.Node) -> bool:
    """Whether the operator is a `Reshape` that gives the same from rows as from tokens."""
    if node.op_type != "Reshape":
        return False
    if node.attributes.get_int("allowzero", 0):
        return True
    target = node.inputs[1]
    known = None if target is None else ir.convenience.get_const_tensor(target)
    return known is not None and bool((known.numpy() != 0).all())  # 0 takes a dimension of tokens
