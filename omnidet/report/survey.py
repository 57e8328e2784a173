"""A survey of a shard folder as one HTML file with sample images, their boxes and phrases.

The file is self-contained: no network, no script.
"""

from __future__ import annotations

import base64
import importlib.resources
import io
from collections import Counter
from collections.abc import Iterable, Mapping

import jinja2

from omnidet import storage
from omnidet.data import shards
from omnidet.data.reading import picture_files
from omnidet.data.sharding.survey import AREAS, LENGTHS, SetSurvey, Survey, facts
from omnidet.schema import Record

IMAGE_SIDE = 480
"""Longer side of an embedded picture in pixels."""
NUM_COLOURS = 6
NUM_ABSENT = 12
"""At most as many absent names are written below a picture."""


def write(
    path: storage.Location,
    found: Survey,
    index: shards.Index,
    num_samples: int,
    files: Mapping[str, str] | None = None,
    title: str = "",
) -> None:
    """Write the page, with `num_samples` pictures of each set at even distances.

    Args:
        files: what people call their pictures, by the number of the image's id.
        title: of the page, in place of where the shards are.
    """
    template = (
        importlib.resources.files("omnidet.report")
        .joinpath("survey.html.jinja")
        .read_text(encoding="utf-8")
    )
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    colours = _colours(found)
    sets = [
        {
            "name": name,
            "facts": facts(own),
            "charts": _charts(own),
            "pictures": [
                _picture(record, files or {}, colours)
                for record in samples(index, name, num_samples)
            ],
        }
        for name, own in found.sets.items()
    ]
    storage.write_text(
        path,
        environment.from_string(template).render(
            survey=found, sets=sets, title=title or found.location
        ),
    )


def samples(index: shards.Index, set_name: str, count: int) -> Iterable[Record]:
    """`count` records of a set at even distances, or all if there are fewer."""
    members = index.shards(set_name)
    total = shards.num_samples(members)
    wanted = sorted({i * total // count for i in range(count)}) if total else []
    first = 0
    for member in members:
        for i in wanted:
            if first <= i < first + member.samples:
                yield shards.open_shard(index.location, member).read(i - first)
        first += member.samples


def _colours(found: Survey) -> Mapping[str, int]:
    """The same colour for a phrase in all pictures, as far as the colours go round."""
    phrases = sorted(set().union(*(own.phrases for own in found.sets.values())))
    return {p: i for i, p in enumerate(phrases)} if len(phrases) <= NUM_COLOURS else {}


def _charts(own: SetSurvey) -> dict[str, list[tuple[str, int, float]]]:
    return {
        "Box sizes": _bars(own.areas, AREAS),
        "Phrase lengths": _bars(own.lengths, LENGTHS),
        "Caption lengths": _bars(own.caption_lengths, LENGTHS),
        "Most frequent phrases": _bars(
            own.phrases, [phrase for phrase, _ in own.phrases.most_common(10)]
        ),
    }


def _bars(counts: Counter[str], order: Iterable[str]) -> list[tuple[str, int, float]]:
    """Text, count, and length in percent of the longest bar."""
    most = max(counts.values(), default=0)
    return [
        (name, counts[name], round(100 * counts[name] / most, 1)) for name in order if counts[name]
    ]


def _picture(
    record: Record, files: Mapping[str, str], colours: Mapping[str, int]
) -> dict[str, object]:
    # Encoded again without metadata: a browser would rotate a JPEG by its orientation, but not the
    # boxes on it.
    with picture_files.opened(record.image) as opened:
        opened.draft("RGB", (IMAGE_SIDE, IMAGE_SIDE))
        image = opened.convert("RGB")
    image.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    own_colours = [colours.get(phrase, i % NUM_COLOURS) for i, phrase in enumerate(record.phrases)]
    rectangles = []
    for number, own in enumerate(record.phrase_boxes):
        for i in own:
            x0, y0, x1, y1 = (round(float(v), 1) for v in record.boxes_xyxy[i])
            rectangles.append((x0, y0, round(x1 - x0, 1), round(y1 - y0, 1), own_colours[number]))
    absent = ", ".join(record.absent[:NUM_ABSENT])
    if len(record.absent) > NUM_ABSENT:
        absent += f" and {len(record.absent) - NUM_ABSENT} more"
    counts = [len(own) for own in record.phrase_boxes]
    called = files.get(record.image_id.partition(":")[2], f"{record.source} {record.image_id}")
    return {
        "title": f"{called}, {record.width} × {record.height}",
        "source": "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode(),
        "width": record.width,
        "height": record.height,
        "line": round(max(record.width, record.height) / 160, 2),
        "boxes": rectangles,
        "phrases": [(phrase, counts[i], own_colours[i]) for i, phrase in enumerate(record.phrases)],
        "caption": record.caption,
        "absent": absent,
    }
