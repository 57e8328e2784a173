"""A real object store for tests: OpenStack Swift with its S3 interface, in four local processes.

`python -m tests.object_store FOLDER` starts one for experiments, and prints what to export.
"""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import http.client
import http.server
import importlib.util
import itertools
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ACCESS_KEY = "omnidet:tester"
SECRET_KEY = "testing-secret"
SERVERS = ("account", "container", "object", "proxy")
START_SECONDS = 60.0
_BIN = Path(sys.executable).parent
# The kernel kills the servers of a test process that was killed (PR_SET_PDEATHSIG).
_EXEC = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
_COMMON = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {folder}/etc
devices = {folder}/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
workers = 0
log_name = {name}
"""
_BACKEND = """[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""
_PROXY = """[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck listing_formats s3api tempauth copy bulk slo dlo
    versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
check_bucket_owner = false
[filter:tempauth]
use = egg:swift#tempauth
user_omnidet_tester = testing-secret .admin
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
""" + "".join(
    f"[filter:{name}]\nuse = egg:swift#{name}\n"
    for name in (
        "catch_errors",
        "gatekeeper",
        "healthcheck",
        "listing_formats",
        "copy",
        "bulk",
        "slo",
        "dlo",
        "symlink",
    )
)


@dataclasses.dataclass
class ObjectStore:
    """A server. Its data stay in its folder when it stops."""

    folder: Path
    ports: dict[str, int]
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    processes: list[subprocess.Popen[bytes]] = dataclasses.field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['proxy']}"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of a client."""
        keys = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        return {"AWS_ENDPOINT_URL": self.endpoint, "AWS_REGION": "us-east-1", **keys}

    def start(self) -> None:
        """Start the processes and wait until they answer.

        The proxy starts last and stops first: while it cannot reach the others, it denies that any
        bucket exists, which no client may take for a passing fault.
        """
        deadline = time.monotonic() + START_SECONDS
        for name in SERVERS[:-1]:
            self._run(name)
        for name in SERVERS[:-1]:
            self._wait(name, deadline)
        self._run("proxy")
        self._wait("proxy", deadline)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"{self.endpoint}/healthcheck"
        ) as answer:
            assert answer.read() == b"OK"

    def stop(self) -> None:
        """Kill the processes, as a power failure would."""
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes.clear()

    def _run(self, name: str) -> None:
        program = [_BIN / f"swift-{name}-server", self.folder / "etc" / f"{name}.conf", "-v"]
        with (self.folder / f"{name}.log").open("ab") as log:
            started = subprocess.Popen(
                [sys.executable, "-c", _EXEC, *program],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.processes.append(started)

    def _wait(self, name: str, deadline: float) -> None:
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.ports[name]), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline or any(
                    process.poll() is not None for process in self.processes
                ):
                    self.stop()
                    raise RuntimeError(
                        "Swift did not start:\n" + "\n".join(self._log(name) for name in SERVERS)
                    ) from None
                time.sleep(0.05)
            else:
                return

    def _log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        text = path.read_text(errors="replace")[-1500:] if path.exists() else "not started"
        return f"{name}: {text}"


@contextlib.contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """A running server with its data below the folder."""
    if importlib.util.find_spec("swift") is None:
        raise RuntimeError(
            'the object store of the tests is missing: pip install -c constraints.txt -e ".[dev]"'
        )
    (folder / "etc").mkdir(parents=True)
    (folder / "devices" / "d1").mkdir(parents=True)
    store = ObjectStore(folder, _free_ports())
    _configure(store)
    try:
        store.start()
        yield store
    finally:
        store.stop()


def _free_ports() -> dict[str, int]:
    """Ports that are free, and that no connection gets while a server starts or is stopped: below
    those that the system gives out.
    """
    bounds = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(bounds.read_text().split()[0]) if bounds.exists() else 32_768
    below = range(10_000, first)
    candidates = random.SystemRandom().sample(below, 200) if len(below) > 1_000 else [0] * 200
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        while len(found) < len(SERVERS):
            each = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):  # somebody has it
                each.bind(("127.0.0.1", candidates.pop()))
                found.append(each.getsockname()[1])
    return dict(zip(SERVERS, found, strict=True))


def _configure(store: ObjectStore) -> None:
    etc = store.folder / "etc"
    (etc / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_prefix = omnidet\nswift_hash_path_suffix = omnidet\n"
        "[storage-policy:0]\nname = default\ndefault = yes\n"
    )
    for name, port in store.ports.items():
        settings = {"name": name, "port": port, "folder": store.folder, "user": getpass.getuser()}
        common = _COMMON + (
            _PROXY if name == "proxy" else f"recon_cache_path = {store.folder}\n" + _BACKEND
        )
        (etc / f"{name}.conf").write_text(common.format(**settings))
        if name != "proxy":
            ring = [_BIN / "swift-ring-builder", etc / f"{name}.builder"]
            for arguments in (
                ["create", "4", "1", "1"],
                ["add", f"r1z1-127.0.0.1:{port}/d1", "1"],
                ["rebalance"],
            ):
                # 1 is a warning: the ring is complete, but has only one device
                done = subprocess.run(
                    [sys.executable, *ring, *arguments], capture_output=True, text=True, check=False
                )
                assert done.returncode in (0, 1), done.stdout + done.stderr


def unchanged(_connection: int, _sent: int, chunk: bytes) -> bytes | None:
    """Pass everything on."""
    return chunk


class Between:
    """A proxy between client and server that changes the responses, perhaps with TLS.

    `spoil(connection, sent, chunk)` returns the bytes to pass on, or None to break off.
    """

    def __init__(self, endpoint: str, spoil=unchanged, tls: ssl.SSLContext | None = None):
        self.target = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
        self.spoil, self.tls = spoil, tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{self.listener.getsockname()[1]}"
        self.open: list[socket.socket] = []
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.threads[0].join()
        for each in self.open:
            self._end(each)
        for thread in self.threads:
            thread.join()
        for each in self.open:
            each.close()

    def _accept(self):
        for number in itertools.count():
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            try:
                near = self.tls.wrap_socket(near, server_side=True) if self.tls else near
            except OSError:  # a client that does not trust the certificate
                near.close()
                continue
            far = socket.create_connection(self.target)
            self.open += [near, far]
            for pump in ((near, far, unchanged, number), (far, near, self.spoil, number)):
                self.threads.append(threading.Thread(target=self._pump, args=pump))
                self.threads[-1].start()

    def _pump(self, source, sink, spoil, number):
        sent = 0
        try:
            while chunk := source.recv(65536):
                chunk = spoil(number, sent, chunk)
                if chunk is None:
                    break
                sink.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass
        self._end(source)
        self._end(sink)

    @staticmethod
    def _end(each):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


class OneAtATime:
    """A proxy in front of Swift that lets one request through at a time.

    Swift checks whether an object exists and writes it in two steps. With this it decides in one.
    """

    def __init__(self, store: ObjectStore):
        lock, port = threading.Lock(), store.ports["proxy"]

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with (
                    lock,
                    contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection,
                ):
                    connection.putrequest(
                        self.command, self.path, skip_host=True, skip_accept_encoding=True
                    )
                    for name, value in self.headers.items():
                        connection.putheader(name, value)
                    connection.endheaders(body)
                    answer = connection.getresponse()
                    content = answer.read()
                self.send_response_only(answer.status, answer.reason)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = forward

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}
        )

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


if __name__ == "__main__":
    with object_store(Path(sys.argv[1]).resolve()) as running:
        print(
            "\n".join(f"export {name}={value}" for name, value in running.environment.items()),
            flush=True,
        )
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
