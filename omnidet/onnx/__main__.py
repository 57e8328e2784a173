"""`python -m omnidet.onnx FOLDER IMAGE ...`: one line of JSON for each picture, without torch."""

from __future__ import annotations

import argparse
import json
import sys

from omnidet import extras
from omnidet.onnx import OnnxDetector

WRONG_INPUT = 2
"""The exit code."""


def main(arguments: list[str] | None = None) -> int:
    """Run the detector and return the exit code: 2 if something that was given is wrong."""
    parser = argparse.ArgumentParser(prog="python -m omnidet.onnx", description=__doc__)
    parser.add_argument("model", help="folder that `omnidet export --format onnx` wrote")
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument(
        "--phrases", nargs="+", metavar="WORDS", help="not for a model with words folded in"
    )
    parser.add_argument("--threshold", type=float, help="default: the model's own")
    parser.add_argument("--threads", type=int, default=0, help="default: one for each core")
    options = parser.parse_args(arguments)
    try:
        detector = OnnxDetector.from_pretrained(options.model, options.threads)
        threshold = detector.threshold if options.threshold is None else options.threshold
        for image in options.images:
            found = detector.detect(image, options.phrases, threshold=threshold)
            print(json.dumps({"image": image, **found.to_dict()}, ensure_ascii=False), flush=True)
    except (ValueError, OSError) as error:
        return _failed(" ".join(str(error).split()))
    except extras.MissingError as error:
        return _failed(str(error))
    return 0


def _failed(reason: str) -> int:
    print(f"python -m omnidet.onnx: {reason}", file=sys.stderr)
    return WRONG_INPUT


if __name__ == "__main__":
    sys.exit(main())
