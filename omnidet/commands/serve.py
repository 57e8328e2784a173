"""`omnidet serve`: a detector over HTTP."""

from __future__ import annotations

import argparse
import functools
import logging
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from omnidet import extras
from omnidet.commands.arguments import Commands, add_command, add_registry
from omnidet.commands.loading import find_model, loading
from omnidet.serving.config import Limits, ServerConfig

if TYPE_CHECKING:
    from omnidet.inference.detector import OmniDet
    from omnidet.serving.service import Service

PACKAGES = ("h11", "prometheus_client", "python_multipart", "starlette", "uvicorn")
LEAST_SECONDS, MOST_SECONDS = 1.0, 86_400
"""Between two looks at the registry."""

log = logging.getLogger("omnidet.server")


def add(commands: Commands) -> None:
    """Register the command."""
    text = "answer over HTTP: any words, any image (KServe's protocol v2, and POST /detect)"
    parser = add_command(commands, "serve", text, run)
    parser.add_argument(
        "--model",
        required=True,
        help="registered model (NAME for its champion, NAME@3, NAME@ALIAS), or a folder, local or s3://",
    )
    add_registry(parser)
    parser.add_argument(
        "--name", help="name of the model in the URLs (default: that of the registry or folder)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1 (default: cpu)")
    parser.add_argument(
        "--follow",
        type=float,
        default=0,
        metavar="SECONDS",
        help="check this often whether NAME@champion has become another version, and switch to "
        "it without interruption (default: never)",
    )
    parser.add_argument(
        "--page", action="store_true", help="also serve a page for trying words, at /"
    )
    _add_limits(parser)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    config = ServerConfig()
    parser.add_argument(
        "--host",
        default=config.host,
        help="address to listen on, 0.0.0.0 for all of them (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=config.port,
        help="0 takes any that is free (default: %(default)s)",
    )
    parser.add_argument(
        "--concurrency",
        type=int,
        default=config.concurrency,
        help="requests whose pictures are decoded at the same time (default: %(default)s)",
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=config.batch,
        help="pictures of different requests that go through the detector together, if so many "
        "wait (default: %(default)s)",
    )
    parser.add_argument(
        "--max-request-megabytes",
        type=int,
        default=config.limits.max_request_bytes >> 20,
        help="larger requests get 413 (default: %(default)s)",
    )
    parser.add_argument(
        "--max-megapixels",
        type=int,
        default=config.limits.max_pixels // 1_000_000,
        help="of each picture; larger ones get 400 (default: %(default)s)",
    )
    parser.add_argument(
        "--max-phrases",
        type=int,
        default=config.limits.max_phrases,
        help="in one request (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> None:
    """Serve until stopped. Raises ValueError or FileNotFoundError for what cannot be served."""
    extras.require("serve", *extras.TORCH, *PACKAGES)
    if options.follow and not LEAST_SECONDS <= options.follow <= MOST_SECONDS:  # NaN is neither
        raise ValueError(
            f"--follow {options.follow:g}: give {LEAST_SECONDS:g} to {MOST_SECONDS:,} seconds, or "
            "0 for never"
        )
    if options.name and "/" in options.name:
        raise ValueError(
            f"--name {options.name}: it is one part of a path in the URLs: give a name without /"
        )
    limits = Limits(
        max_request_bytes=options.max_request_megabytes << 20,
        max_pixels=options.max_megapixels * 1_000_000,
        max_phrases=options.max_phrases,
    )
    config = ServerConfig(
        options.host, options.port, options.concurrency, options.batch, limits=limits
    )
    folder, name, version = find_model(options.model, options.registry)
    if options.follow and not version:
        raise ValueError(
            f"--follow is for a registered model: {options.model} is a folder, "
            "which has no versions"
        )
    with loading():
        from omnidet.serving import server
        from omnidet.serving.service import Service

        detector = load(folder, options.device)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    service = Service(detector, options.name or name, version or "1", config)
    if options.follow:
        threading.Thread(target=follow, args=(service, options, folder), daemon=True).start()
    more = None
    if options.page:
        from omnidet.page.routes import routes

        more = functools.partial(routes, [service])
    server.run(service, more)


def load(folder: Path, device: str) -> OmniDet:
    """The detector on the device. Raises ValueError for a device that is not there."""
    import torch

    from omnidet.inference.detector import OmniDet

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"--device {device} cannot be used ({reason}): "
            "give cpu, or cuda on a machine with a GPU"
        ) from error
    return OmniDet.from_pretrained(folder, device)


def follow(service: Service, options: argparse.Namespace, before: Path) -> None:
    """Switch to another version whenever the reference points to one, for the life of the process.

    A version that cannot be found or loaded costs a line in the log; the one that answers stays.

    Args:
        before: folder of the version that is loaded. If it is a copy from an object store, it is
            removed when another version has replaced it.
    """
    from omnidet import storage

    waiting = threading.Event()
    while not waiting.wait(options.follow):
        try:
            folder, _, version = find_model(options.model, options.registry)
            if version != service.loaded.version:
                service.use(load(folder, options.device), version)
                log.info("%s is version %s from now on", service.name, version)
                if storage.is_s3(options.registry) and folder != before:
                    # Otherwise the disk fills up, promotion by promotion.
                    shutil.rmtree(before, ignore_errors=True)
                before = folder
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            # RuntimeError: both versions are in memory at once, and torch has no room for two.
            reason = " ".join(str(error).split()) or type(error).__name__
            log.warning("still version %s: %s", service.loaded.version, reason)
