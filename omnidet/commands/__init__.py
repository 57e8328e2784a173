"""The commands of `omnidet`: one file each, and one for all steps of the pipeline.

To add one, write `omnidet/commands/<name>.py` with `add(commands)`, which registers its parser, and
name it in `omnidet/cli.py`. Import heavy packages in the functions that use them, so that
`omnidet --help` stays quick.
"""
