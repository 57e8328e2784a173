import pytest

from omnidet.report import pictures
from omnidet.report.pictures import Sample


def test_labels_stay_inside_the_picture_and_off_one_another():
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
    with pytest.raises(ValueError, match="'name': give one of names, phrase"):
        Sample("scene.png", "name", b"", (), ())
