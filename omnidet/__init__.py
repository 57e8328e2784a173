"""OmniDet: an open-vocabulary object detector trained in one pass.

     dataset files                                                       model registry
          |                                                                    ^
       sources --Record--> held_out --Record--> shards --tar--> transforms -> mixing      | registry
                                                  |                             |         |
                                             vocabulary -----token ids--------->|      Metrics <-
                                             evaluation
                                                                             Batch        ^
                                                                             ^
                                                                               v          |
                                                                               |
                                                     losses <-Matches- matching <-Predictions-
                                                     model-+
                                                        | LossTerm
                                                        | v
                                                        v
                                                    training --checkpoint-->
                                                    inference

Read `schema.py` next: it holds every type that crosses an arrow. Each folder is a stage, each stage
is a function from one of those types to the next, `recipes/` picks the parts and `steps/` runs
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnidet.inference.detector import OmniDet

__all__ = ["OmniDet", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`from omnidet import OmniDet`, which loads torch, without making every command load it.

    Raises ImportError that says what to install where there is no torch.
    """
    if name == "OmniDet":
        from omnidet import extras

        extras.require("torch", *extras.TORCH)
        from omnidet.inference.detector import OmniDet

        return OmniDet
    raise AttributeError(f"module 'omnidet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
