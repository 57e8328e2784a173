"""`omnidet fetch-images` compared with img2dataset: the same list and server on this machine.

    python benchmarks/web_images.py --images 20000 --img2dataset VENV/bin/python --json OUT

A server in a process of its own provides 20,000 different JPEGs of 256 x 256 pixels. For each
client, with all its processes, this measures seconds, CPU seconds (user and system), pictures per
second and core (pictures divided by CPU seconds), and the largest sum of the processes' memory
(proportional set size, so that shared pages count once).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SIDE = 256


def picture(number: int) -> bytes:
    """A JPEG unlike all others: coarse noise, smoothly enlarged."""
    noise = np.random.default_rng(number).integers(0, 256, (24, 24, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(
        out, "JPEG", quality=85
    )
    return out.getvalue()


def draw(folder: Path, count: int) -> None:
    """Write the pictures as files, unless they exist."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(count) if not (folder / f"{i}.jpg").exists()]
    with multiprocessing.Pool() as pool:
        for i, content in zip(missing, pool.imap(picture, missing, 100), strict=True):
            (folder / f"{i}.jpg").write_bytes(content)


def serve(folder: str, count: int, port: object) -> None:
    """A bare HTTP server with everything in memory, so that the client is the limit."""
    contents = [Path(folder, f"{i}.jpg").read_bytes() for i in range(count)]

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport, self.pending = transport, b""

        def data_received(self, data: bytes) -> None:
            self.pending += data
            while b"\r\n\r\n" in self.pending:
                request, _, self.pending = self.pending.partition(b"\r\n\r\n")
                line = request.split(b" ", 2)
                content = contents[int(line[1].rpartition(b"/")[2].partition(b".")[0])]
                self.transport.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(content), content)
                )
                if b"onnection: close" in request:
                    self.transport.close()

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(
            Connection, "127.0.0.1", 0, backlog=1000
        )
        port.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    asyncio.run(main())


def family(parent: int) -> list[int]:
    """A process and all its descendants."""
    found = [parent]
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, ValueError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found += family(int(entry.name))
    return found


def memory_bytes(processes: list[int]) -> int:
    """Proportional set size of the processes together."""
    total = 0
    for process in processes:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def measure(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Run a command; its seconds, CPU seconds and peak memory."""
    peak = 0
    begin, cpu = time.monotonic(), os.times()
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    stderr: list[bytes] = []
    reader = threading.Thread(target=lambda: stderr.append(process.stderr.read()))
    reader.start()
    while process.poll() is None:
        peak = max(peak, memory_bytes(family(process.pid)))
        time.sleep(0.2)
    reader.join()
    if process.returncode:
        raise SystemExit(f"{command[0]} failed: {stderr[0].decode(errors='replace')[-2000:]}")
    now = os.times()
    used = now.children_user - cpu.children_user + now.children_system - cpu.children_system
    return {"seconds": time.monotonic() - begin, "cpu_seconds": used, "peak_mb": peak / 1e6}


def count_pictures(folder: Path) -> int:
    """Number of pictures in the tars of a folder."""
    total = 0
    for path in folder.glob("*.tar"):
        with tarfile.open(path) as tar:
            total += sum(name.endswith(".jpg") for name in tar.getnames())
    return total


def main() -> None:
    """Measure each client and print the table."""
    options = _options()
    draw(options.pictures, options.images)
    scratch = Path(tempfile.mkdtemp(prefix="omnidet-web-"))
    flat: dict[str, float] = {}
    print(
        f"{'':28}{'pictures':>9}{'seconds':>9}{'CPU s':>8}{'/s':>8}{'/s/core':>9}{'peak MB':>9}",
        flush=True,
    )
    try:
        with _served(options) as port:
            urls = [f"http://127.0.0.1:{port}/{i}.jpg" for i in range(options.images)]
            captions = [f"picture number {i}" for i in range(options.images)]
            pq.write_table(pa.table({"url": urls, "caption": captions}), scratch / "list.parquet")
            for name, command in clients(options, scratch).items():
                if not options.only or name == options.only:
                    flat |= _measured(name, command, scratch / name)
    finally:
        shutil.rmtree(scratch)
    if not options.img2dataset:
        print("img2dataset: not measured: no --img2dataset")
    if options.json:
        options.json.write_text(json.dumps(flat, indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument(
        "--workers", type=int, default=1, help="processes of each client (default: 1)"
    )
    parser.add_argument(
        "--connections", type=int, default=32, help="connections of each process (default: 32)"
    )
    parser.add_argument(
        "--only", help="one of omnidet, img2dataset-decoded, img2dataset-unseen (default: all)"
    )
    parser.add_argument(
        "--img2dataset",
        help="python of an environment with img2dataset (default: img2dataset is not measured)",
    )
    parser.add_argument(
        "--pictures", type=Path, default=Path(tempfile.gettempdir(), "omnidet-web-pictures")
    )
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


@contextlib.contextmanager
def _served(options: argparse.Namespace) -> Iterator[int]:
    """The port of a server of the pictures, which is a process of its own."""
    port = multiprocessing.Value("i", 0)
    arguments = (str(options.pictures), options.images, port)
    server = multiprocessing.Process(target=serve, args=arguments, daemon=True)
    server.start()
    try:
        while not port.value:
            time.sleep(0.05)
        yield port.value
    finally:
        server.terminate()


def _measured(name: str, command: list[str], out: Path) -> dict[str, float]:
    """Run a client, print its row, and return its numbers by `<name>.<key>`."""
    r = measure(command, {"NO_ALBUMENTATIONS_UPDATE": "1", "OMP_NUM_THREADS": "1"})
    r["pictures"] = count_pictures(out)
    shutil.rmtree(out)
    r["per_second"] = r["pictures"] / r["seconds"]
    r["per_second_and_core"] = r["pictures"] / r["cpu_seconds"]
    print(
        f"{name:28}{r['pictures']:9}{r['seconds']:9.1f}{r['cpu_seconds']:8.1f}"
        f"{r['per_second']:8.0f}{r['per_second_and_core']:9.0f}{r['peak_mb']:9.0f}",
        flush=True,
    )
    return {f"{name}.{key}": round(value, 2) for key, value in r.items()}


def clients(options: argparse.Namespace, scratch: Path) -> dict[str, list[str]]:
    """The command of each client, by the name of its output folder in `scratch`."""
    urls, workers, connections = scratch / "list.parquet", options.workers, options.connections
    own = [sys.executable, "-m", "omnidet.cli", "fetch-images", str(urls), "--allow-private"]
    own += f"--workers {workers} --connections {connections} --per-host {connections}".split()
    own += ["--rows-per-shard", "5000", "--out"]
    found = {"omnidet": [*own, str(scratch / "omnidet")]}
    if options.img2dataset:
        # Like ours, without resizing. The second form writes the bytes without decoding them.
        theirs = [str(Path(options.img2dataset).with_name("img2dataset")), "--url_list", str(urls)]
        theirs += ["--input_format", "parquet", "--url_col", "url", "--caption_col", "caption"]
        theirs += f"--processes_count {workers} --thread_count {connections}".split()
        theirs += ["--output_format", "webdataset", "--number_sample_per_shard", "5000"]
        theirs += ["--enable_wandb", "False", "--output_folder"]
        for name, how in (
            ("img2dataset-decoded", "--resize_mode no --skip_reencode True"),
            ("img2dataset-unseen", "--disable_all_reencoding True"),
        ):
            found[name] = [*theirs, str(scratch / name), *how.split()]
    return found


if __name__ == "__main__":
    main()
