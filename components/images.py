"""The images of the steps, named once. Set OMNIDET_IMAGE_REPOSITORY and OMNIDET_IMAGE_TAG to compile for your own registry.

KFP caches a step by the text of its image reference, so a tag that moves would give old results for new code.
"""

import os
import re

from omnidet import __version__

REPOSITORY = "ghcr.io/omnidet"


def image(kind: str) -> str:
    """The image `control`, `data` or `train`: `repository/kind:tag`. Raises ValueError for a tag that is none or moves."""
    repository = os.environ.get("OMNIDET_IMAGE_REPOSITORY", REPOSITORY).rstrip("/")
    tag = os.environ.get("OMNIDET_IMAGE_TAG", __version__)
    if not re.fullmatch(r"[a-z0-9][a-z0-9._:/-]*", repository):
        raise ValueError(
            f"OMNIDET_IMAGE_REPOSITORY={repository!r} is no image repository: give one, as ghcr.io/omnidet"
        )
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", tag) or tag == "latest":
        raise ValueError(
            f"OMNIDET_IMAGE_TAG={tag!r} names no fixed version: give a full tag, as {__version__}"
        )
    return f"{repository}/{kind}:{tag}"


CONTROL = image("control")
DATA = image("data")
TRAIN = image("train")
