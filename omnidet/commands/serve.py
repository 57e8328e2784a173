"""`omnidet serve`: a registered detector over HTTP."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnidet.inference.detector import OmniDet
    from omnidet.serving.server import Service

LEAST_SECONDS = 1.0

log = logging.getLogger("omnidet.server")


def add(commands: Any) -> None:
    """Register the command."""
    text = "answer over HTTP: any words, any image (KServe's protocol v2, and POST /detect)"
    command: argparse.ArgumentParser = commands.add_parser("serve", help=text, description=text)
    command.add_argument(
        "--model",
        required=True,
        help="registered model (NAME, NAME@3, NAME@champion), or a folder, local or s3://",
    )
    command.add_argument(
        "--registry", default="registry", help="folder or s3:// URI (default: registry)"
    )
    command.add_argument(
        "--name", help="of the model in the URLs (default: that of the registry or folder)"
    )
    command.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 is every one (default: 127.0.0.1)",
    )
    command.add_argument(
        "--port", type=int, default=8080, help="0 takes any that is free (default: 8080)"
    )
    command.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1 (default: cpu)")
    command.add_argument(
        "--concurrency", type=int, default=2, help="detections at the same time (default: 2)"
    )
    command.add_argument(
        "--max-request-megabytes",
        type=int,
        default=16,
        help="larger requests get 413 (default: 16)",
    )
    command.add_argument(
        "--max-phrases", type=int, default=2000, help="in one request (default: 2000)"
    )
    command.add_argument(
        "--follow", type=float, default=0, metavar="SECONDS",
        help="look so often whether NAME@champion is another version by now, and change to it without a break (default: never)",
    )  # fmt: skip
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Serve until stopped. Raises ValueError or FileNotFoundError for what cannot be served."""
    try:
        from omnidet.serving import server
        from omnidet.serving.requests import Limits
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the server needs the package {error.name}: pip install 'omnidet[serve]'"
        ) from error
    if options.follow and options.follow < LEAST_SECONDS:
        raise ValueError(
            f"--follow {options.follow:g}: {LEAST_SECONDS:g} second is the least, 0 is never"
        )
    limits = Limits(
        max_request_bytes=options.max_request_megabytes << 20, max_phrases=options.max_phrases
    )
    config = server.ServerConfig(options.host, options.port, options.concurrency, limits=limits)
    folder, name, version = find(options.model, options.registry)
    if options.follow and not version:
        raise ValueError(
            f"--follow is for a registered model: {options.model} is a folder, which has no versions"
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    service = server.Service(
        load(folder, options.device), options.name or name, version or "1", config
    )
    if options.follow:
        threading.Thread(target=follow, args=(service, options, folder), daemon=True).start()
    server.run(service)


def find(model: str, registry: str) -> tuple[Path, str, str]:
    """Local folder, name and version (empty for a folder) of what `--model` names."""
    from omnidet import storage
    from omnidet.registry import versions

    if storage.is_s3(model):
        return storage.local_copy(model, ".cache/models"), model.rstrip("/").rpartition("/")[2], ""
    folder = Path(model)
    if (folder / "config.json").is_file():
        return folder, folder.resolve().name, ""
    found = versions.find(registry, model)
    return found.folder(), found.name, str(found.number)


def load(folder: Path, device: str) -> OmniDet:
    """The detector on the device. Raises ValueError for a device that is not there."""
    import torch

    from omnidet.inference.detector import OmniDet

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"--device {device} cannot be used ({reason}): give cpu, or cuda on a machine with a GPU"
        ) from error
    return OmniDet.from_pretrained(folder, device)


def follow(service: Service, options: argparse.Namespace, before: Path) -> None:
    """Change to another version when the reference means one. What fails is logged: the version that answers stays.

    Args:
        before: the folder of the one that is loaded; a copy from an object store is removed when another is used.
    """
    from omnidet import storage

    waiting = threading.Event()
    while not waiting.wait(options.follow):
        try:
            folder, _, version = find(options.model, options.registry)
            if version != service.loaded.version:
                service.use(load(folder, options.device), version)
                log.info("%s is version %s from now on", service.name, version)
                if storage.is_s3(options.registry) and folder != before:
                    shutil.rmtree(
                        before, ignore_errors=True
                    )  # else the disk fills up, promotion by promotion
                before = folder
        except (OSError, ValueError) as error:
            log.warning(
                "still version %s: %s", service.loaded.version, " ".join(str(error).split())
            )
