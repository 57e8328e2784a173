"""A detector as a folder that this package, the Hugging Face hub and `transformers` load."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from omnidet import storage
from omnidet.data.vocabulary import Vocabulary
from omnidet.model import bundle
from omnidet.model.confidence import Confidence
from omnidet.model.detector import Detector

TASK = "zero-shot-object-detection"
_CODE = {
    "configuration_omnidet.py": "OmniDetConfig",
    "modeling_omnidet.py": "OmniDetForZeroShotObjectDetection",
    "pipeline_omnidet.py": "OmniDetPipeline",
}
"""Files that `transformers` runs with `trust_remote_code=True`: each hands on a class of ours."""
_CARD = """---
library_name: omnidet
pipeline_tag: zero-shot-object-detection
---
# {name}

An OmniDet open-vocabulary detector: it finds what any words name.

```python
from omnidet import OmniDet

detector = OmniDet.from_pretrained("<this folder or repository>")
words = ["red star", "star left of circle"]
found = detector.detect("picture.jpg", words, threshold=detector.threshold)
```

With `transformers`, and `omnidet` installed:

```python
from transformers import pipeline

detector = pipeline("zero-shot-object-detection", "<this folder or repository>",
                    trust_remote_code=True)
detector("picture.jpg", candidate_labels=["red star", "star left of circle"])
```

Input: {side} px square. Names it was trained on: {count}.
"""


def save_pretrained(
    detector: Detector, vocabulary: Vocabulary, config: dict[str, Any], folder: Path
) -> Path:
    """Write the detector. Raises FileExistsError if the folder holds anything."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there already and not empty: give another folder")
    with storage.staged_directory(folder) as stage:
        _fill(stage, detector, vocabulary, config, folder.resolve().name)
    return folder


def _fill(
    folder: Path, detector: Detector, vocabulary: Vocabulary, config: dict[str, Any], title: str
) -> None:
    facts = config.get("provenance", {})
    names, confidence = list(config.get("names", ())), Confidence.of(config)
    bundle.save(folder, detector, vocabulary, names, facts, confidence)
    path = folder / "config.json"
    content = json.loads(path.read_text(encoding="utf-8")) | _for_transformers()
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, made in _CODE.items():
        (folder / name).write_text(
            f'from omnidet.transformers import {made}\n\n__all__ = ["{made}"]\n',
            encoding="utf-8",
        )
    card = _CARD.format(name=title, side=detector.config.image_size, count=len(content["names"]))
    (folder / "README.md").write_text(card, encoding="utf-8")


def push_to_hub(
    detector: Detector,
    vocabulary: Vocabulary,
    config: dict[str, Any],
    repository: str,
    *,
    private: bool,
    **upload: Any,
) -> str:
    """Upload the folder of `save_pretrained`; returns the address of the repository."""
    import huggingface_hub

    hub = huggingface_hub.HfApi()
    address = hub.create_repo(repository, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as stage:
        folder = save_pretrained(
            detector, vocabulary, config, Path(stage, repository.rpartition("/")[2])
        )
        hub.upload_folder(repo_id=address.repo_id, folder_path=folder, **upload)
    return str(address)


def _for_transformers() -> dict[str, Any]:
    """What its Auto classes read in `config.json`."""
    made = {name: f"{file.removesuffix('.py')}.{name}" for file, name in _CODE.items()}
    config, model, pipeline = made.values()
    return {
        "model_type": "omnidet",
        "architectures": ["OmniDetForZeroShotObjectDetection"],
        "auto_map": {
            "AutoConfig": config,
            "AutoModel": model,
            "AutoModelForZeroShotObjectDetection": model,
        },
        "custom_pipelines": {
            TASK: {"impl": pipeline, "pt": ["AutoModelForZeroShotObjectDetection"], "tf": []}
        },
    }
