"""`X-Robots-Tag` headers."""

import pytest

from omnidet.data.web_images.robots_tags import forbidden


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["noai"], "noai"),
        (["noindex", "NOAI, noimageai"], "noai"),
        (["googlebot: noai"], ""),
        (["omnidet: noai"], "noai"),
        (["otherbot: noindex, noai"], ""),
        (["*: noai"], "noai"),
        (["unavailable_after: 25 Jun 2027 15:00:00 PST, noai"], "noai"),
        (["noindex"], ""),
        ([], ""),
    ],
)
def test_the_directive_that_applies_to_us(tags, found):
    assert forbidden(tags, ("noai", "noimageai")) == found
