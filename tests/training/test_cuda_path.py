"""What a GPU runs, as far as a CPU can run it: a step that waits for its device once, half
precision, compiled parts, and weights that are sharded over ranks.
"""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from omnidet.data.mixing.config import Stream
from omnidet.matching.config import MatchingConfig
from omnidet.training import checkpoint, metrics, optimizer
from omnidet.training.average import Average
from omnidet.training.config import OptimizerConfig
from omnidet.training.finite import FiniteGuard
from omnidet.training.supervision import Supervision
from tests import toys

ROOT = Path(__file__).parents[2]
LIBRARY = f"{ROOT / 'omnidet'}/"
FILE = "average.safetensors"
aten = torch.ops.aten
READING = {
    aten._local_scalar_dense.default,  # .item(), bool(), float(), a number taken from a tensor
    aten.nonzero.default,
    aten.masked_select.default,
    aten.repeat_interleave.Tensor,
    aten._unique2.default,
    aten.unique_consecutive.default,
    aten.equal.default,
}
"""Operations whose result, or its size, the host has to know before it can go on."""


class Waits(TorchDispatchMode):
    """Where a step would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.places: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        keywords = keywords or {}
        by_mask = function in (aten.index.Tensor, aten.index_put_.default, aten.index_put.default)
        masks = by_mask and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in arguments[1]
        )
        if masks or (function in READING and keywords.get("output_size") is None):
            self.note(str(function))
        return function(*arguments, **keywords)

    def note(self, what: str) -> None:
        own = [f for f in traceback.extract_stack() if f.filename.startswith(LIBRARY)]
        where = f"{own[-1].filename.rpartition('/')[2]}:{own[-1].name}" if own else "?"
        self.places[f"{what} in {where}"] += 1


@pytest.fixture
def waits(monkeypatch):
    """Counts these operations, and copies to the host, which the dispatcher does not show."""
    mode = Waits()
    for name in ("cpu", "tolist", "numpy", "item"):
        real = getattr(torch.Tensor, name)

        def noted(tensor, *arguments, name=name, real=real, **keywords):
            # What is on the host already is read by `numpy` for free.
            if name != "numpy":
                mode.note(name)
            return real(tensor, *arguments, **keywords)

        monkeypatch.setattr(torch.Tensor, name, noted)
    return mode


def test_what_is_counted_is_what_would_wait(waits):
    values = torch.arange(4.0)
    with waits:
        _ = values[values > 1]
        _ = bool(values.sum() > 1)
        _ = torch.nonzero(values)
        _ = torch.repeat_interleave(torch.tensor([1, 2]))
        _ = values.cpu()
        values[values > 2] = 0.0
    assert sum(waits.places.values()) >= 6
    before = sum(waits.places.values())
    with waits:
        _ = torch.where(values > 1, values, 0.0)
        _ = values[torch.tensor([1, 2])]
        _ = torch.repeat_interleave(torch.tensor([1, 2]), output_size=3)
    assert sum(waits.places.values()) == before


def step(detector, supervision, adamw, average, guard, batch):
    """As in `loop.fit`, with the check of a GPU: one step late."""
    with torch.autocast("cpu", torch.bfloat16):
        predictions = detector(batch)
    loss, parts = supervision(predictions, batch)
    guard.loss(0, loss, parts)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(detector.parameters(), 1.0)
    guard.gradient(0, loss, parts, norm)
    adamw.step()
    optimizer.clear_gradients(adamw, detector)
    average.update(detector)
    return float(loss.detach())


def parts_of_a_run():
    detector = toys.toy_detector().train()
    streams = [Stream(name, (), 1) for name in toys.STREAMS]
    supervision = Supervision(toys.LOSSES, streams, 1, MatchingConfig())
    supervision.prepare(detector)
    adamw = optimizer.build(detector, OptimizerConfig(learning_rate=1e-3))
    return detector, supervision, adamw, Average(detector, 0.9)


def test_a_step_waits_for_its_device_once_for_the_assignment(waits):
    detector, supervision, adamw, average = parts_of_a_run()
    guard = FiniteGuard(adamw, is_late=True)
    batch = toys.batch()
    first = step(detector, supervision, adamw, average, guard, batch)  # makes the moments
    guard.settle()
    waits.places.clear()
    guard._pending = None
    with torch.autocast("cpu", torch.bfloat16), waits:
        predictions = detector(batch)
    with waits:
        loss, parts = supervision(predictions, batch)
        guard.loss(1, loss, parts)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(detector.parameters(), 1.0)
        guard.gradient(1, loss, parts, norm)
        adamw.step()
        optimizer.clear_gradients(adamw, detector)
        average.update(detector)
    assert dict(waits.places) == {"cpu in cost.py:_on_cpu": 1}
    assert loss.item() < first


def test_the_fused_optimizer_itself_skips_a_step_that_is_not_finite():
    detector, supervision, adamw, average = parts_of_a_run()
    guard = FiniteGuard(adamw, is_late=True)
    step(detector, supervision, adamw, average, guard, toys.batch())
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    detector.tokens.embeddings.register_hook(lambda gradient: gradient * float("nan"))
    step(detector, supervision, adamw, average, guard, toys.batch())
    for name, value in detector.state_dict().items():
        assert torch.equal(value, before[name]), name
    with pytest.raises(FloatingPointError, match="step 0: gradient norm is not finite"):
        guard.settle()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiled_parts_in_half_precision_give_the_numbers_of_the_others():
    """By the compiler's own front end; its code for one machine would take a minute to make."""
    plain, compiled = toys.toy_detector().eval(), toys.toy_detector().eval()
    for part in (compiled.backbone, compiled.head):
        part.compile(backend="aot_eager")
    batch = toys.batch()
    with torch.autocast("cpu", torch.bfloat16):
        one, other = plain(batch), compiled(batch)
    torch.testing.assert_close(other.scores_BQL, one.scores_BQL, atol=0.05, rtol=0.02)
    torch.testing.assert_close(other.boxes_cxcywh_BQ4, one.boxes_cxcywh_BQ4, atol=0.01, rtol=0.02)
    assert other.scores_BQL.dtype == other.boxes_cxcywh_BQ4.dtype == torch.float32
    other.scores_BQL.sum().backward()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 2
    assert all(p.grad is not None for p in compiled.backbone.parameters() if p.requires_grad)


@pytest.mark.slow
def test_half_precision_sharded_weights_and_compiled_parts_train_together(tmp_path):
    """Two gloo ranks end where one does, up to the rounding of half precision."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.ranks", "half", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == [[0], [0, 0], [0, 0]]
    graphs = {path.name: int(path.read_text()) for path in tmp_path.glob("*.graphs")}
    assert graphs["sharded.0.graphs"] == graphs["one.0.graphs"] == 0
    assert min(graphs["compiled.0.graphs"], graphs["compiled.1.graphs"]) >= 2
    rows = {
        name: metrics.read(tmp_path / name / "metrics.jsonl")
        for name in ("one", "sharded", "compiled")
    }
    for name in ("sharded", "compiled"):
        assert [row.keys() for row in rows[name]] == [row.keys() for row in rows["one"]]
        for own, row in zip(rows[name], rows["one"], strict=True):
            assert own["loss"] == pytest.approx(row["loss"], rel=0.05)
        kept = load_file(Path(checkpoint.latest(tmp_path / name / "checkpoints"), FILE))
        assert all(tensor.dtype == torch.float32 for tensor in kept.values())
