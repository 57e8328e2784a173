from __future__ import annotations

import pytest

from omnidet import cli
from omnidet.serving.config import Limits, ServerConfig


@pytest.mark.parametrize("name", vars(Limits()))
def test_a_limit_is_1_at_least(name):
    assert getattr(Limits(**{name: 1}), name) == 1
    with pytest.raises(ValueError, match=f"{name} is 0"):
        Limits(**{name: 0})


@pytest.mark.parametrize(
    ("field", "value"),
    [("port", -1), ("port", 65536), ("concurrency", 0), ("batch", 0), ("max_waiting", -1)],
)
def test_what_a_server_cannot_do_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} {value}"):
        ServerConfig(**{field: value})


def test_the_command_line_has_the_same_defaults():
    options = cli._parser().parse_args(["serve", "--model", "m"])
    config = ServerConfig()
    assert (options.host, options.port) == (config.host, config.port)
    assert (options.concurrency, options.batch) == (config.concurrency, config.batch)
    assert options.max_megapixels * 1_000_000 == config.limits.max_pixels
    assert options.max_request_megabytes << 20 == config.limits.max_request_bytes
    assert options.max_phrases == config.limits.max_phrases
