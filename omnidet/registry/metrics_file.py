"""The flat file of numbers that `omnidet evaluate --metrics` wrote, read by gate and registry."""

from __future__ import annotations

import json

from omnidet import storage
from omnidet.storage import Location


def read(path: Location) -> dict[str, float]:
    """Numbers by name, such as `coco/AP50`.

    Raises:
        FileNotFoundError, ValueError: if the file is missing or damaged, with the remedy.
    """
    try:
        content = json.loads(storage.read_text(path))
    except (FileNotFoundError, IsADirectoryError):
        raise FileNotFoundError(
            f"{path} is not a file: name what `omnidet evaluate --metrics` wrote"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}): evaluate the model again") from error
    is_flat = isinstance(content, dict) and all(type(v) in (int, float) for v in content.values())
    if not is_flat or not content:
        raise ValueError(
            f'{path} is not a flat file of metrics such as {{"coco/AP": 0.5}}: '
            "evaluate the model again"
        )
    values: dict[str, float] = content
    return values
