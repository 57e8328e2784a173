"""Commands of `omnidet` beside the pipeline steps, one file each.

To add one, write `omnidet/commands/<name>.py` with `add(commands)`, which registers its parser and
sets `run`, and name it in `omnidet/cli.py`. Heavy packages are imported where they are used:
`omnidet --help` stays quick.
"""
