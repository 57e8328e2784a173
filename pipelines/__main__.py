"""`python -m pipelines compile | submit | schedule | status | stop | run-local`: see `cli.py`."""

from __future__ import annotations

import sys

from omnidet import extras, standard_output

PROGRAM = "python -m pipelines"


def main() -> int:
    """Run one command and return its exit code: 2 too where the packages are missing."""
    try:
        extras.require("pipelines", "kfp", "kfp_server_api", "psutil")
    except extras.MissingError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    from pipelines import cli

    return standard_output.run(PROGRAM, cli.main)


if __name__ == "__main__":
    sys.exit(main())
