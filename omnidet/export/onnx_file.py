"""An exported program -> one ONNX file, in single precision or with 8-bit weights."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import torch

from omnidet.export.graph import Graph
from omnidet.onnx import runtime
from omnidet.onnx.facts import KEY, Facts

OPSET = 20
"""Version of ONNX's operators: what ONNX Runtime has read since 1.17 (January 2024)."""
MOST_BYTES = 2**31
"""An ONNX file is one protobuf message, which holds no more."""


def write(
    path: Path, program: torch.export.ExportedProgram, graph: Graph, facts: Facts, *, int8: bool
) -> None:
    """Write the model with its facts in the metadata.

    Raises ValueError for a model that is too large for one file.
    """
    import onnx

    size = sum(t.numel() * t.element_size() for t in graph.state_dict().values())
    if size >= MOST_BYTES:
        raise ValueError(
            f"the model has {size / 1e9:.1f} GB, and an ONNX file holds 2: give --format torch"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own doings
        made = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            verbose=False,
        )
    assert made is not None  # only without dynamo is there nothing
    made.save(path, external_data=False)
    if int8:
        _to_int8(path)
    model = onnx.load(path)
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, facts.to_json()
    onnx.save(model, path)


def _to_int8(path: Path) -> None:
    """Store the weights of matrix products in 8 bits; their other factor is rounded as it comes.

    Seven of the eight bits are used: without VNNI, processors add pairs of products in 16 bits,
    and eight would overflow them.
    """
    runtime.load()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    full = path.with_suffix(".float32")
    path.replace(full)
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it advises a preparation that changes nothing here
    try:
        quantize_dynamic(
            full,
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.root.setLevel(level)
        full.unlink()
