"""`omnidet export`: a detector for ONNX Runtime, or as torch's exported program."""

from __future__ import annotations

import argparse
import sys

from omnidet import extras
from omnidet.commands import asking
from omnidet.commands.arguments import Commands, add_command, add_registry
from omnidet.commands.loading import find_model, loading
from omnidet.export.config import FORMATS, ExportConfig


def add(commands: Commands) -> None:
    """Register the command."""
    text = "write a detector for other runtimes: ONNX, or torch.export"
    parser = add_command(commands, "export", text, run)
    parser.add_argument(
        "--model",
        required=True,
        help="registered model (NAME for its champion, NAME@3, NAME@ALIAS), or a folder, local or s3://",
    )
    add_registry(parser)
    parser.add_argument(
        "--format",
        default=FORMATS[0],
        choices=FORMATS,
        help="onnx: model.onnx; torch: model.pt2 (default: %(default)s)",
    )
    parser.add_argument(
        "--words",
        metavar="FILE",
        help="fold these words in: a text file with a phrase a line, or YAML as --phrases-file of "
        "`omnidet predict` (default: the model takes any words)",
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="matrix products with 8-bit weights: a third of the size, a little less exact",
    )
    parser.add_argument("--out", required=True, help="folder to write, local or s3://")


def run(options: argparse.Namespace) -> None:
    """Write the folder and say how far it is from the detector.

    Raises ValueError or OSError for what cannot be exported.
    """
    from omnidet import storage
    from omnidet.inference import hints, names
    from omnidet.onnx.words import TABLE, TOKENIZER

    extras.require("export", *extras.TORCH, "onnx", "onnxscript", "onnxruntime")
    words: tuple[str, ...] = ()
    if options.words:
        read = names.read(options.words)
        words = tuple(phrase for name in read for phrase in name.phrases)
        asking.say(hints.of_spelling(words))
        if lost := [one.name for one in read if one != names.Name(one.name, (one.name,))]:
            shown = f"{lost[0]!r}{f' and {len(lost) - 1} more' if len(lost) > 1 else ''}"
            print(
                f"note: --words {options.words}: an exported model answers by phrase, without "
                f"names and thresholds such as those of {shown}: apply them to its answers",
                file=sys.stderr,
            )
    config = ExportConfig(options.format, words, options.int8)
    file = "model.onnx" if config.format == "onnx" else "model.pt2"
    storage.require_replaceable(options.out, file, written=(file, TOKENIZER, TABLE))
    folder, name, version = find_model(options.model, options.registry)
    storage.require_outside(options.out, folder)
    with loading():
        from omnidet.export.write import write
        from omnidet.inference.detector import OmniDet

        detector = OmniDet.from_pretrained(folder)
    asking.say(hints.of_words(detector.vocabulary, names.wanted(words)))
    title = f"{name} version {version}" if version else name
    written = write(detector, config, options.out, title)
    for line in written.lines:
        print(line)
    print(written.file)
