"""A detector -> a folder that a runner reads, checked against the detector before it is kept."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from omnidet import storage
from omnidet.data.transforms.letterbox import PADDING
from omnidet.export import onnx_file
from omnidet.export.comparison import Difference, Run, compare
from omnidet.export.config import FLOAT_LIMITS, ExportConfig, int8_limits
from omnidet.export.graph import AnyWords, FoldedWords, Graph, program
from omnidet.inference.detector import OmniDet
from omnidet.onnx import detector as runner
from omnidet.onnx import runtime
from omnidet.onnx.facts import KEY, Facts
from omnidet.onnx.words import Words
from omnidet.schema import FloatArray

PROGRAM = "model.pt2"
NAMES_COMPARED = 20


@dataclass(frozen=True)
class Exported:
    """What was written, for people."""

    file: str
    megabytes: float
    facts: Facts
    lines: tuple[str, ...]


def write(omnidet: OmniDet, config: ExportConfig, out: storage.Location, name: str) -> Exported:
    """Export a detector, and compare it with what was exported.

    Args:
        out: the folder, local or `s3://`.
        name: what is exported, for the metadata.

    Raises ValueError if a word cannot be encoded, or if the result is too far from the detector.
    """
    detector, vocabulary = omnidet.detector.to("cpu").eval(), omnidet.vocabulary
    asked = config.words or omnidet.names[:NAMES_COMPARED] or ("thing",)
    prompt = omnidet.prompt(asked)
    words = prompt.rows_PD.clone(), prompt.biases_P.clone()  # not of inference mode any more
    graph = FoldedWords(detector, *words) if config.words else AnyWords(detector)
    limits = int8_limits(detector.config.image_size) if config.int8 else FLOAT_LIMITS
    file = runner.MODEL if config.format == "onnx" else PROGRAM
    with storage.staged_directory(out) as folder:
        for any_size in (True, False) if detector.backbone.exports_any_side else (False,):
            facts = _facts(omnidet, config, name, any_size=any_size)
            try:
                difference = _write_model(folder / file, graph.eval(), words, config, facts)
                difference.check(limits)
                break
            except OSError:  # a full disk
                raise
            except Exception:  # of the exporters, which raise their own; the last one counts
                if not any_size:
                    raise
        if not config.words:
            table = Words(vocabulary, *_token_table(omnidet))
            table.save(folder, facts.weights_sha256)
        size = (folder / file).stat().st_size / 1e6
    lines = (_shape_line(facts, size, config), difference.line(limits))
    return Exported(storage.join(out, file), size, facts, lines)


def _write_model(
    path: Path, graph: Graph, words: tuple[Tensor, Tensor], config: ExportConfig, facts: Facts
) -> Difference:
    """Write the file, load it again and compare it with the detector."""
    size, unit = facts.image_size, _unit(graph, facts)
    # The example's sides are neither equal nor that of the position embeddings: for these, some
    # backbones and the head take a shorter way, which is no way for other sizes.
    example = (facts.least_size + unit, facts.least_size + 2 * unit)
    for_onnx = config.format == "onnx"
    exported = program(
        graph,
        example if facts.any_size else (size, size),
        any_size=facts.any_size,
        for_onnx=for_onnx,
    )
    run = (
        _run_onnx(path, exported, graph, facts, int8=config.int8)
        if for_onnx
        else _run_program(path, exported, facts)
    )
    sizes = [(1, size, size), (3, size, size)]
    if facts.any_size:
        sizes += [(2, facts.least_size, facts.least_size), (1, unit * 3, unit * 2)]
    return compare(graph, run, words, sizes, mean=config.int8)


def _run_onnx(
    path: Path,
    exported: torch.export.ExportedProgram,
    graph: Graph,
    facts: Facts,
    *,
    int8: bool,
) -> Run:
    onnxruntime = runtime.load()
    onnx_file.write(path, exported, graph, facts, int8=int8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(inputs: tuple[Tensor, ...]) -> Sequence[FloatArray]:
        fed = {key: value.numpy() for key, value in zip(graph.inputs, inputs, strict=True)}
        return session.run(["boxes", "scores"], fed)  # type: ignore[no-any-return]

    return run


def _run_program(path: Path, exported: torch.export.ExportedProgram, facts: Facts) -> Run:
    # Not straight into the file: where the disk is full, torch's own writer ends the process.
    content = io.BytesIO()
    torch.export.save(exported, content, extra_files={KEY: facts.to_json()})
    path.write_bytes(content.getbuffer())
    loaded = torch.export.load(path).module()
    return lambda inputs: [output.numpy() for output in loaded(*inputs)[:2]]


def _unit(graph: Graph, facts: Facts) -> int:
    """Pixels by which the side of an image may grow."""
    backbone = graph.detector.backbone if isinstance(graph, AnyWords) else graph.backbone
    window = int(getattr(backbone, "window", 0) or 1)
    return facts.size_multiple * window


def _facts(omnidet: OmniDet, config: ExportConfig, name: str, *, any_size: bool) -> Facts:
    model, backbone = omnidet.detector.config, omnidet.detector.backbone
    return Facts(
        image_size=model.image_size,
        least_size=model.position_side if any_size else model.image_size,
        size_multiple=model.backbone.size_multiple,
        padding=PADDING,
        mean=tuple(backbone.mean.flatten().tolist()),
        std=tuple(backbone.std.flatten().tolist()),
        any_size=any_size,
        words=config.words,
        blocks=omnidet.vocabulary.blocks,
        names=omnidet.vocabulary.names,
        own_names=omnidet.names,
        line=dataclasses.astuple(omnidet.confidence.asked),
        threshold=omnidet.threshold,
        model=name,
        weights_sha256=str(omnidet.config.get("weights_sha256", "")),
        precision="int8" if config.int8 else "float32",
    )


@torch.no_grad()
def _token_table(omnidet: OmniDet) -> tuple[FloatArray, FloatArray]:
    """Embeddings (T, D) and biases (T,) with the first stream's calibration folded in.

    The weights of a phrase sum to 1, so that the calibration of its tokens is that of the phrase.
    """
    tokens, calibration = omnidet.detector.tokens, omnidet.detector.head.calibration
    rows_TD: Tensor = tokens.embeddings
    biases_T: Tensor = tokens.biases
    if calibration is not None:
        rows_TD, biases_T = calibration.rows(rows_TD, biases_T)
    return rows_TD.numpy(), biases_T.numpy()


def _shape_line(facts: Facts, size: float, config: ExportConfig) -> str:
    words = f"{len(facts.words)} words folded in" if facts.words else "any words"
    sides = (
        f"images of any multiple of {facts.size_multiple} px"
        if facts.any_size
        else f"images of {facts.image_size} px only"
    )
    kind = f"ONNX opset {onnx_file.OPSET}" if config.format == "onnx" else "torch.export"
    return f"{kind}, {facts.precision}, {size:.1f} MB; {words}; {sides}, any number at once"
