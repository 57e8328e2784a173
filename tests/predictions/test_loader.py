"""Pictures are opened in order, from files and from a real server; one that cannot be read is said,
and the rest goes on."""

from __future__ import annotations

import http.server
import threading
from contextlib import contextmanager

import pytest

from omnidet.inference.pictures import Picture
from omnidet.predictions.inputs import Item
from omnidet.predictions.loader import Loader
from tests import toys

PNG = toys.png(12, 9, [])


@contextmanager
def _server():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            is_there = self.path.endswith(".png")
            self.send_response(200 if is_there else 404)
            self.end_headers()
            self.wfile.write(PNG if is_there else b"no")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_files_come_in_order_and_what_is_wrong_with_them(tmp_path):
    items = []
    for number in range(20):
        path = tmp_path / f"{number}.png"
        path.write_bytes(toys.png(number + 1, 5, []) if number != 7 else b"no picture")
        items.append(Item(str(path), str(number)))
    items.append(Item(str(tmp_path / "nowhere.png"), "nowhere"))
    items.append(Item("bytes", "bytes", PNG))
    with Loader(3) as loader:
        opened = list(loader.opened(items))
    assert [item for item, _ in opened] == items
    widths = [p.width if isinstance(p, Picture) else str(p) for _, p in opened]
    assert widths[:7] == list(range(1, 8))
    assert "7.png" in widths[7]
    assert "nowhere.png" in widths[20]
    assert widths[21] == 12


def test_addresses_are_fetched():
    with _server() as address, Loader(2, allow_private=True) as loader:
        items = [Item(f"{address}/a.png", "a"), Item(f"{address}/none", "n")]
        (_, picture), (_, error) = loader.opened(items)
    assert isinstance(picture, Picture)
    assert (picture.width, picture.height) == (12, 9)
    assert isinstance(error, OSError)
    assert f"{address}/none" in str(error)
    assert "404" in str(error)


def test_this_machine_s_network_is_not_asked():
    with _server() as address, Loader(2) as loader:
        ((_, error),) = loader.opened([Item(f"{address}/a.png", "a")])
    assert isinstance(error, OSError)
    assert "--allow-private" in str(error)


def test_no_more_is_read_than_was_asked_for(tmp_path):
    started = []

    def items():
        for number in range(100):
            started.append(number)
            yield Item("bytes", str(number), PNG)

    with Loader(4) as loader:
        opened = loader.opened(items())
        for _ in range(3):
            next(opened)
        assert len(started) <= 8


@pytest.mark.parametrize(
    "address",
    [
        "http://user:word@example.org/a.png",
        "http:///a.png",
        "http://[::1/a.png",
        "http://a:b/a.png",
    ],
)
def test_addresses_that_are_not_asked(address):
    with Loader(1, allow_private=True) as loader:
        ((_, error),) = loader.opened([Item(address, "a")])
    assert isinstance(error, OSError)
    assert address in str(error)
