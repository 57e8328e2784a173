"""`python -m pipelines compile | submit | schedule | status | stop | run-local`: see `cli.py`."""

from __future__ import annotations

import sys

from omnidet import extras


def main() -> int:
    """Run one command and return its exit code: 2 too where the packages are missing."""
    try:
        extras.require("pipelines", "kfp", "kfp_server_api", "psutil")
    except extras.MissingError as error:
        print(f"python -m pipelines: {error}", file=sys.stderr)
        return 2
    from pipelines import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
