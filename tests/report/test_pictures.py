import io

import numpy as np
import pytest
from PIL import Image

from omnidet.report import pictures
from omnidet.report.pictures import Sample


def test_labels_stay_inside_the_picture_and_do_not_overlap():
    found = [
        ((-5.0, -5.0, 20.0, 20.0), "ball", 0.5),
        ((-5.0, -5.0, 20.0, 20.0), "ball", 0.6),
        ((90.0, 80.0, 99.0, 99.0), "a", 0.9),
    ]
    size = 5.0
    places = pictures._label_places(found, size, 100, 100)
    assert all(0 <= x <= 100 and size <= y <= 100 for x, y in places)
    assert abs(places[0][1] - places[1][1]) >= size
    assert places[2][0] + 0.6 * size * len("a .900") <= 100


def test_an_unknown_kind_of_sample_is_refused():
    with pytest.raises(ValueError, match="'name'"):
        Sample("scene.png", "name", b"", (), ())


def test_a_sample_needs_as_many_mistakes_as_found_boxes():
    with pytest.raises(ValueError, match="1 mistakes for 0 found boxes"):
        Sample("scene.png", "names", b"", (), (), mistakes=("confusion",))


def test_all_pictures_together_stay_below_the_limit():
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, "PNG")
    images = [content.getvalue()] * 6
    (full, *_), small = pictures.encode(images[:1]), pictures.encode(images, 400_000)
    assert Image.open(io.BytesIO(full[0])).size == (640, 480)
    assert sum(len(jpeg) for jpeg, _, _ in small) <= 400_000
    assert {(width, height) for _, width, height in small} == {(640, 480)}
    assert pictures.encode([]) == []


def test_every_label_has_one_colour():
    samples = [Sample("a", "names", b"", (((0, 0, 1, 1), "ball"),), (((0, 0, 1, 1), "cone", 0.5),))]
    assert pictures.colours(samples) == {"ball": 0, "cone": 1}


def test_an_orientation_mark_does_not_turn_a_picture_away_from_its_boxes():
    content = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown rotated by 90 degrees
    Image.new("RGB", (40, 20), "teal").save(content, "JPEG", exif=exif)
    ((jpeg, width, height),) = pictures.encode([content.getvalue()])
    shown = Image.open(io.BytesIO(jpeg))
    assert (shown.size, (width, height)) == ((40, 20), (40, 20))
    assert not shown.getexif()
