import subprocess
import sys

import pytest

from omnidet.measures import absent, coco
from omnidet.measures.config import Benchmark


def test_a_measure_is_found_by_its_name():
    assert Benchmark("coco", "coco", "eval/coco").loaded is coco.coco
    assert Benchmark("x", "absent", "eval/coco").loaded is absent.absent
    with pytest.raises(ValueError, match=r"'cocoa'.*coco"):
        _ = Benchmark("coco", "cocoa", "eval/coco").loaded


def test_rows_that_are_not_the_official_results_have_files_of_their_own():
    assert Benchmark("a", "coco", "eval/coco").file_name == "eval_coco.json"
    assert Benchmark("a", "absent", "eval/coco").file_name == "eval_coco.absent.json"


def test_a_recipe_can_hold_benchmarks_without_torch():
    program = """
import sys
from omnidet.measures.config import Benchmark
Benchmark("coco", "coco", "eval/coco")
print([name for name in ("torch", "transformers", "timm") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "[]", ran.stderr
