"""`omnidet demo`: a page on this machine for trying words on pictures."""

from __future__ import annotations

import argparse
import functools
import logging
import sys

from omnidet import extras
from omnidet.commands import serve
from omnidet.commands.arguments import Commands, add_command, add_registry
from omnidet.commands.loading import DEMO, find_model, loading, model_or_only
from omnidet.serving.config import ServerConfig


def add(commands: Commands) -> None:
    """Register the command."""
    text = "try words on pictures in a browser: a page that this machine serves to itself"
    parser = add_command(commands, "demo", text, run)
    parser.add_argument(
        "--model",
        help="registered model (NAME for its champion, NAME@3, NAME@ALIAS), or a folder, local or "
        f"s3:// (default: {DEMO}, or the only model of a registry without it)",
    )
    parser.add_argument(
        "--compare", metavar="MODEL", help="another model, shown side by side with the first"
    )
    add_registry(parser)
    parser.add_argument(
        "--port",
        type=int,
        default=ServerConfig().port,
        help="0 takes any that is free (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> None:
    """Serve until stopped. Raises ValueError or FileNotFoundError for what cannot be served."""
    extras.require("serve", *extras.TORCH, *serve.PACKAGES)
    config = ServerConfig(port=options.port)
    references = [model_or_only(options.model, options.registry)]
    references += [options.compare] if options.compare else []
    found = [find_model(reference, options.registry) for reference in references]
    with loading():
        from omnidet.inference.detector import OmniDet
        from omnidet.page.routes import routes
        from omnidet.serving import server
        from omnidet.serving.service import Service

        services = [
            Service(OmniDet.from_pretrained(folder), name, version or name, config)
            for folder, name, version in found
        ]
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    print("Open the address below in a browser; Ctrl-C ends.", flush=True)
    server.run(services[0], functools.partial(routes, services))
