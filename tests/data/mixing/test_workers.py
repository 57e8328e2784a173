"""Processes that make batches: images are in shared memory that is not reused while held."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from omnidet.data.mixing import workers
from tests.data.mixing.mixes import STREAMS, assert_same, mixture

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


def test_a_batch_does_not_change_while_it_is_held(index):
    """One worker is four batches ahead of the consumer, which keeps every third."""
    made = mixture(index)
    kept = {
        step: batch
        for step, batch in enumerate(workers.batches(made, range(40), 1))
        if step % 3 == 0
    }
    for step, batch in kept.items():
        assert_same(batch, made[step])


def test_a_view_of_a_batch_keeps_its_memory(index):
    made = mixture(index)
    views = [
        batch.images_BCHW[1:2, :, :5]
        for batch in itertools.islice(workers.batches(made, range(30), 2), 30)
    ]
    for step, view in enumerate(views):
        assert torch.equal(view, made[step].images_BCHW[1:2, :, :5])


def test_memory_is_reused(index):
    """A consumer that holds one batch at a time sees only as many addresses as there are slots."""
    places = {
        batch.images_BCHW.data_ptr() for batch in workers.batches(mixture(index), range(40), 1)
    }
    assert len(places) <= workers.PREFETCHED + workers.HELD


def test_groups_of_different_sizes_follow_one_another_in_memory(index):
    streams = (*STREAMS[:2], dataclasses.replace(STREAMS[2], image_size=16))
    made = mixture(index, streams)
    for step, batch in enumerate(workers.batches(made, range(12), 2)):
        assert_same(batch, made[step])
        large, small = batch.groups()
        assert (
            small.images_BCHW.data_ptr() - large.images_BCHW.data_ptr() == large.images_BCHW.numel()
        )


KILLED = """
import dataclasses, os, signal, time, torch
from omnidet.data.mixing import workers
from tests import toys

class Large:
    num_bytes = 5 * 64 * 64 * 3
    def make(self, step, memory=None):
        return dataclasses.replace(toys.batch(), sizes_B2=torch.zeros(5, 100_000))

for _ in workers.batches(Large(), range(100), 2):
    time.sleep(1)  # the workers are ahead, and their pipe is full
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_workers_end_with_a_process_that_is_killed():
    """Workers keep its output open, so reading it ends when the last worker has ended."""
    root = Path(__file__).parents[3]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=root, capture_output=True, text=True, timeout=200
    )
    assert killed.returncode == -9, killed.stderr
