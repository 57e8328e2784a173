"""Which answers deserve another try, and how long a server asks to wait."""

import email.utils
import time

import pytest

from omnidet.http import RETRY_STATUSES, retry_after


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 522])
def test_answers_that_may_change(status):
    assert status in RETRY_STATUSES


@pytest.mark.parametrize("status", [200, 206, 301, 400, 401, 403, 404, 409, 410, 416, 501, 505])
def test_answers_that_will_not_change(status):
    assert status not in RETRY_STATUSES


def test_retry_after_in_seconds_or_as_a_date():
    assert retry_after("120") == 120
    assert 50 < retry_after(email.utils.formatdate(time.time() + 60, usegmt=True)) <= 61
    assert retry_after(email.utils.formatdate(time.time() - 60, usegmt=True)) == 0


@pytest.mark.parametrize("value", [None, "", "soon", "-3", "1.5"])
def test_retry_after_that_says_nothing(value):
    assert retry_after(value) is None
