"""What every HTTP client of the project agrees on: which answers deserve another try, and how long to wait.

`docs/decisions/0010-http.md` says which client library is used where.
"""

from __future__ import annotations

import email.utils
import time

RETRY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 525)})
"""Statuses after which the same request may succeed: time-outs, too many requests, and a server or gateway in trouble.

408, 425, 429 and 5xx as in RFC 9110, RFC 8470 and RFC 6585; 520 to 524 are what Cloudflare answers when the server behind it
is away (https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/). Not 501 or 505:
a server that does not know the method or the version will not learn it.
"""


REDIRECT_STATUSES = (301, 302, 303, 307, 308)


def retry_after(value: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks for (RFC 9110, 10.2.3); None if there is no usable value.

    The header holds a number of seconds or a date.
    """
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())
