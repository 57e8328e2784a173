"""A picture from pixels to scores: eager, exported, compiled; and two other detectors.

    python benchmarks/inference.py --json OUT --plot OUT.svg [--only demo vit peers]

The contestants take turns in one run, with the same pixels and 80 names and random weights: this
detector eager, in bfloat16 where the processor multiplies it, with `torch.compile`, in ONNX Runtime
and there with 8-bit weights; at the size of the demo's model (128 px) and with ViT-B/16 at 640 px;
one picture and eight at once. Beside them stand Grounding DINO and OWL-ViT B/16 of `transformers`,
one picture. ONNX Runtime gets as many threads as torch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from contestants import TINY, Size, grounding_dino, owlvit, owlvit_ids, prompt_ids
from side_by_side import arguments, device, machine, print_bars, print_table, take_turns, write
from torch import Tensor

from omnidet.export import onnx_file
from omnidet.export.graph import AnyWords, program
from omnidet.model.backbones.conv_stem_vit import ConvStemVit
from omnidet.model.config import BackboneConfig, ModelConfig
from omnidet.model.detector import Detector
from omnidet.onnx import runtime
from omnidet.onnx.facts import Facts

onnxruntime = runtime.load()
NAMES = 80
PARTS = ("demo", "vit", "peers")
BARS = {"onnx_over_eager_demo_1": ("at most", 0.5)}


def main() -> None:
    """Measure, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--counts", type=int, nargs="+", default=[1, 8], help="pictures at once (default: 1 8)"
    )
    options = parser.parse_args()
    on = device(options.device)
    size = TINY if options.tiny else Size()
    values: dict[str, float] = {}
    drawn: dict[str, float] = {}
    models: dict[str, tuple[int, BackboneConfig]] = {
        "demo": (64 if options.tiny else 128, size.backbone if options.tiny else ConvStemVit()),
        "vit": (size.image_size, size.backbone),
    }
    for model, (side, backbone) in models.items():
        if model not in options.only:
            continue
        for count in (1,) if options.tiny else options.counts:
            runs = _ours(ModelConfig(side, backbone, 32 if options.tiny else 192), count, on)
            if model == "vit" and count == 1 and "peers" in options.only:
                runs |= _peers(size)
            times = take_turns(runs, options.rounds, on, options.clock)
            title = f"{model}, {side} px, {count} at once"
            rows = []
            for name, taken in times.items():
                ratio = taken / times["eager"]
                values[f"{_key(name)}_over_eager_{model}_{count}"] = ratio
                values[f"seconds_{_key(name)}_{model}_{count}"] = taken
                drawn[f"{title}: {name}"] = taken
                rows.append([name, f"{1000 * taken:.1f} ms", f"{ratio:.2f}"])
            print_table(title, ["contestant", "time", "over eager"], rows)
    print(f"\n{machine(on, options.clock)}, onnxruntime {onnxruntime.__version__}")
    print_bars(values, BARS)
    write(options, values, drawn, "s", "From pixels to the scores of 80 names")


def _ours(config: ModelConfig, count: int, on: torch.device) -> dict[str, Callable[[], object]]:
    """This detector in every form, on the same pictures."""
    torch.manual_seed(0)
    graph = AnyWords(Detector(config, 600)).eval()
    side = config.image_size
    inputs = (
        torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8),
        torch.randn(NAMES, config.embedding_width),
        torch.zeros(NAMES),
    )
    exported = {
        name: _session(graph, side, int8=int8)
        for name, int8 in (("ONNX Runtime", False), ("ONNX Runtime, int8", True))
    }
    fed = {key: value.numpy() for key, value in zip(graph.inputs, inputs, strict=True)}
    moved = tuple(value.to(on) for value in inputs)
    compiled = torch.compile(graph.to(on))
    runs: dict[str, Callable[[], object]] = {"eager": _eager(graph, moved, on)}
    for name, session in exported.items():
        runs[name] = lambda session=session: session.run(["boxes", "scores"], fed)
    runs["torch.compile"] = _eager(compiled, moved, on)
    if on.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        runs["bfloat16"] = _eager(graph, moved, on, half=True)
    return runs


def _eager(
    module: Any, inputs: tuple[Tensor, ...], on: torch.device, *, half: bool = False
) -> Callable[[], object]:
    @torch.inference_mode()
    def run() -> object:
        with torch.autocast(on.type, torch.bfloat16, enabled=half):
            return module(*inputs)

    return run


def _session(graph: AnyWords, side: int, *, int8: bool) -> Any:
    facts = Facts(
        image_size=side,
        least_size=side,
        size_multiple=16,
        padding=128,
        mean=(),
        std=(),
        any_size=False,
        words=(),
        blocks=(),
        model="benchmark",
        weights_sha256="",
        precision="int8" if int8 else "float32",
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        exported = program(graph, (side, side), any_size=False, for_onnx=True)
        onnx_file.write(path, exported, graph, facts, int8=int8)
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _peers(size: Size) -> dict[str, Callable[[], object]]:
    """The other detectors on pixels of the same size; names are read each time, as they are made
    to.
    """
    dino, owl = grounding_dino(size.tiny).eval(), owlvit(size).eval()
    pixels = torch.rand(1, 3, size.image_size, size.image_size)
    prompt, ids = prompt_ids(NAMES, 2), owlvit_ids(NAMES)

    @torch.inference_mode()
    def ask_dino() -> object:
        return dino(
            pixel_values=pixels, input_ids=prompt, attention_mask=torch.ones_like(prompt)
        ).logits

    @torch.inference_mode()
    def ask_owl() -> object:
        return owl(input_ids=ids, pixel_values=pixels, attention_mask=(ids > 0).long()).logits

    return {"Grounding DINO": ask_dino, "OWL-ViT": ask_owl}


def _key(name: str) -> str:
    short = {"ONNX Runtime": "onnx", "ONNX Runtime, int8": "int8", "torch.compile": "compile"}
    return short.get(name, name.lower().replace(" ", "_").replace("-", ""))


if __name__ == "__main__":
    main()
