"""A Docker engine for tests, and the images built on it, with only package servers within reach.

`engine()` uses an engine that is running, or starts Debian's `dockerd` (as root) and stops it when
its last user is done. The official Python image is out of reach, so `debootstrap` makes a base to
replace it, once per machine. Several processes may call at a time: locks in /var/lock order them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BASE_IMAGE = "omnidet-test-base:1"
KINDS = ("control", "data", "train", "serve", "onnx")
MARK = "omnidet-test-build-settings"
"""A mark in the pip.conf of the build, which must not be found in an image."""
PACKAGES = "python3,python3-pip,ca-certificates"
"""What the base holds besides the smallest Debian."""

LOCKS = Path("/var/lock")
PROCESS = Path("/run/omnidet-test-dockerd.pid")
LOG = Path("/var/log/omnidet-test-dockerd.log")


class NoEngineError(RuntimeError):
    """There is no Docker engine, and none can be started."""


@dataclass(frozen=True)
class Images:
    """The images under test: the reference of each kind, and how to run them."""

    reference: dict[str, str]
    docker: str

    def run(
        self,
        kind: str,
        *command: str,
        options: tuple[str, ...] = (),
        network: str = "none",
        seconds: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a new container of that image.

        Raises AssertionError with its output if it fails.
        """
        # In the container: without a client, the command would go on.
        limit = ["timeout", "--kill-after=5", str(seconds)]
        start = [self.docker, "run", "--rm", f"--network={network}", *options]
        call = [*start, self.reference[kind], *limit, *command]
        ran = subprocess.run(call, capture_output=True, text=True, timeout=seconds + 60)
        if ran.returncode:
            raise AssertionError(
                f"{' '.join(call)} ended with {ran.returncode}\n{ran.stdout}{ran.stderr}"
            )
        return ran

    def inspect(self, kind: str, template: str) -> str:
        """What `docker image inspect` says."""
        return _output(self.docker, "image", "inspect", "--format", template, self.reference[kind])


@contextlib.contextmanager
def engine() -> Iterator[str]:
    """The docker client, with a running engine behind it. Raises NoEngineError."""
    # Debian's client: another one may be too new for Debian's engine, or lack its builder.
    docker = "/usr/bin/docker" if Path("/usr/bin/docker").is_file() else shutil.which("docker")
    if docker is None:
        raise NoEngineError("no docker client: apt-get install docker.io iptables debootstrap")
    with (LOCKS / "omnidet-test-engine.lock").open("w") as users:
        while True:
            fcntl.flock(users, fcntl.LOCK_EX)
            if not _answers(docker):
                _start(docker)
            # A shared lock is a user. Changing to it releases the lock for a moment, in which the
            # last user may stop the engine.
            fcntl.flock(users, fcntl.LOCK_SH)
            if _answers(docker):
                break
        try:
            yield docker
        finally:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _stop()


def build(docker: str) -> Images:
    """Build the images with `containers/build`; the engine's cache has what did not change."""
    with _lock("build"):
        _make_base(docker)
        with tempfile.TemporaryDirectory() as folder:
            settings = Path(folder) / "pip.conf"
            settings.write_text(_pip_settings(), encoding="utf-8")
            environment = {
                **os.environ,
                "DOCKER": docker,
                "REGISTRY": "omnidet-test",
                "BASE_IMAGE": BASE_IMAGE,
                "PIP_CONF": str(settings),
                # torch's index is out of reach: all images get torch with CUDA.
                "TORCH_INDEX_URL": "",
            }
            bundle = Path("/etc/ssl/certs/ca-certificates.crt")
            if bundle.is_file():
                environment["CA_BUNDLE"] = str(bundle)
            options = ["--network", "host", "--progress", "plain"]
            call = [str(ROOT / "containers" / "build"), *KINDS, "--", *options]
            built = subprocess.run(
                call, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        if built.returncode:
            raise AssertionError(
                f"containers/build ended with {built.returncode}\n{built.stdout[-8000:]}"
            )
    version = _output(
        "sed", "-n", 's/^__version__ = "\\(.*\\)"$/\\1/p', str(ROOT / "omnidet" / "__init__.py")
    )
    return Images({kind: f"omnidet-test/{kind}:{version}" for kind in KINDS}, docker)


def _pip_settings() -> str:
    """The machine's settings of pip, without folders of packages, which a build cannot see."""
    listed = _output("python3", "-m", "pip", "config", "list").splitlines()
    settings = {}
    for name, _, value in (line.partition("=") for line in listed):
        remote = [word for word in value.strip("'").split() if not word.startswith(("file:", "/"))]
        if remote and name.rpartition(".")[2] in (
            "index-url",
            "extra-index-url",
            "trusted-host",
            "proxy",
            "timeout",
        ):
            settings[name.rpartition(".")[2]] = " ".join(remote)
    return f"# {MARK}\n[global]\n" + "".join(
        f"{name} = {value}\n" for name, value in settings.items()
    )


def _make_base(docker: str) -> None:
    if (
        subprocess.run([docker, "image", "inspect", BASE_IMAGE], capture_output=True).returncode
        == 0
    ):
        return
    debootstrap = shutil.which("debootstrap", path=f"{os.environ['PATH']}:/usr/sbin")
    if debootstrap is None:
        raise NoEngineError("no debootstrap: apt-get install docker.io iptables debootstrap")
    # Not in the folder of temporary files, which may be mounted without devices.
    with tempfile.TemporaryDirectory(dir="/var/lib", prefix="omnidet-test-base-") as folder:
        made = subprocess.run(
            [debootstrap, "--variant=minbase", f"--include={PACKAGES}", "bookworm", folder],
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise AssertionError(
                f"debootstrap ended with {made.returncode}\n"
                f"{made.stdout[-4000:]}{made.stderr[-4000:]}"
            )
        left_out = [
            f"--exclude=./{path}"
            for path in ("etc/resolv.conf", "var/cache/apt/*", "var/lib/apt/lists/*")
        ]
        with subprocess.Popen(
            ["tar", "-C", folder, "-c", *left_out, "."], stdout=subprocess.PIPE
        ) as archive:
            subprocess.run(
                [docker, "import", "-", BASE_IMAGE],
                stdin=archive.stdout,
                check=True,
                capture_output=True,
            )


def _start(docker: str) -> None:
    server = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
    if server is None:
        raise NoEngineError(
            "no docker engine answers, and there is no dockerd to start: "
            "apt-get install docker.io iptables"
        )
    if os.geteuid():
        raise NoEngineError("no docker engine answers, and only root can start one")
    # Its parent is init: it outlives this process as long as another one uses it.
    number = _output("sh", "-c", f"setsid {server} > {LOG} 2>&1 < /dev/null & echo $!")
    PROCESS.write_text(number)
    give_up_at = time.monotonic() + 60
    while not _answers(docker):
        if not _runs(int(number)) or time.monotonic() > give_up_at:
            _stop()
            raise NoEngineError(f"dockerd does not start:\n{LOG.read_text()[-2000:]}")
        time.sleep(0.2)


def _stop() -> None:
    """Stop the engine if this module has started it."""
    if not PROCESS.is_file():
        return
    number = int(PROCESS.read_text())
    PROCESS.unlink()
    if not _runs(number):
        return
    os.kill(number, signal.SIGTERM)
    give_up_at = time.monotonic() + 30
    while _runs(number) and time.monotonic() < give_up_at:
        time.sleep(0.1)


def _runs(number: int) -> bool:
    """Whether that process is a running dockerd, or about to become one."""
    try:
        name, state = re.search(r"\((.*)\) (.)", Path(f"/proc/{number}/stat").read_text()).groups()
    except FileNotFoundError:
        return False
    return name in ("sh", "setsid", "dockerd") and state != "Z"


def _answers(docker: str) -> bool:
    return subprocess.run([docker, "version"], capture_output=True, timeout=60).returncode == 0


@contextlib.contextmanager
def _lock(name: str) -> Iterator[None]:
    with (LOCKS / f"omnidet-test-{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
