"""The images of the steps, named once.

To compile for your own registry, set OMNIDET_IMAGE_REPOSITORY and OMNIDET_IMAGE_TAG.

KFP caches a step by the text of its image reference: a tag that moves would give old results for
new code.
"""

import os
import re

from omnidet import __version__

REPOSITORY = "ghcr.io/omnidet"
VARIABLES = ("OMNIDET_IMAGE_REPOSITORY", "OMNIDET_IMAGE_TAG")


def image(kind: str) -> str:
    """The reference `repository/kind:tag` of an image; `kind` is control, data or train.

    Raises ValueError for a repository or tag that Docker does not take, and for a tag that moves.
    """
    repository = os.environ.get("OMNIDET_IMAGE_REPOSITORY", REPOSITORY).rstrip("/")
    tag = os.environ.get("OMNIDET_IMAGE_TAG", __version__)
    if not re.fullmatch(r"[a-z0-9][a-z0-9._:/-]*", repository):
        raise ValueError(
            f"OMNIDET_IMAGE_REPOSITORY={repository!r} is not an image repository: "
            f"give one like {REPOSITORY}"
        )
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", tag) or tag == "latest":
        raise ValueError(
            f"OMNIDET_IMAGE_TAG={tag!r} does not name a fixed version: "
            f"give a full tag like {__version__}"
        )
    return f"{repository}/{kind}:{tag}"


CONTROL = image("control")
DATA = image("data")
TRAIN = image("train")
