"""The shards that the tests of this folder mix."""

from __future__ import annotations

import pytest

from tests.data.mixing.mixes import COUNTS, FIRST, SETS, write


@pytest.fixture(scope="package")
def index(tmp_path_factory):
    sets = {
        name: [SETS[name](FIRST[name] + i) for i in range(count)] for name, count in COUNTS.items()
    }
    return write(tmp_path_factory.mktemp("shards"), sets)
