"""How much of a detector's batched rate a server gives to 1, 4, 16 and 32 clients.

    python benchmarks/serving.py --model FOLDER [--requests 2000] [--clients 32] [--json OUT]

The server and the bare model share one process, and the clients another one on the same machine.
Beside the rate by the clock stands that by processor time, which other work on the machine does not
lower: what the bare model takes for a picture over what the whole server takes for a request.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omnidet.inference import pictures
from omnidet.inference.detector import OmniDet
from omnidet.serving.config import ServerConfig
from omnidet.serving.server import Server, listening
from omnidet.serving.service import Service
from tests import toys

CLIENTS = (1, 4, 16, 32)
PICTURE = toys.png(128, 96, [(5, 5, 20, 20)])
PATH = "/detect?phrases=red+star&phrases=ring&threshold=0"


@dataclass(frozen=True)
class Taken:
    """What a number of pictures or requests took."""

    rate: float
    """By the clock, a second."""
    processor_rate: float
    """A second of processor time of this process."""


def timed(count: int, started: float, processor: float) -> Taken:
    """From the clock and the processor time at the start."""
    return Taken(count / (time.perf_counter() - started), count / (time.process_time() - processor))


def bare(detector: OmniDet, picture: bytes, count: int, batch: int = 8) -> Taken:
    """Pictures through the detector, decoded beforehand, in batches."""
    opened = pictures.read(picture)
    square = np.asarray(opened.letterboxed(detector.image_size).pixels)
    batches = -(-count // batch)
    started, processor = time.perf_counter(), time.process_time()
    for _ in range(batches):
        detector.regions([square] * batch)
    return timed(batches * batch, started, processor)


def served(port: int, clients: int, count: int) -> tuple[Taken, list[float], int]:
    """Requests of clients in another process, the seconds of each, and how many were lost."""
    call = [sys.executable, __file__, "--client", str(port), str(clients), str(count)]
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()  # it is ready
        started, processor = time.perf_counter(), time.process_time()
        process.stdin.write(b"go\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        return timed(count, started, processor), answer["seconds"], answer["lost"]


def ask(port: int, clients: int, count: int) -> None:
    """The other process: clients that keep their connections open."""
    picture = PICTURE

    def one(number: int) -> tuple[list[float], int]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        seconds, lost = [], 0
        for _ in range(count // clients + (number < count % clients)):
            started = time.perf_counter()
            connection.request("POST", PATH, picture, {"Content-Type": "image/png"})
            answer = connection.getresponse()
            content = json.loads(answer.read())
            seconds.append(time.perf_counter() - started)
            lost += answer.status != 200 or "detections" not in content
        connection.close()
        return seconds, lost

    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(clients) as pool:
        outcomes = list(pool.map(one, range(clients)))
    seconds = [s for own, _ in outcomes for s in own]
    print(json.dumps({"seconds": seconds, "lost": sum(lost for _, lost in outcomes)}), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of a detector (default: a toy)")
    parser.add_argument("--requests", type=int, default=2000, help="for each number of clients")
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tiny", action="store_true", help="check that it runs")
    parser.add_argument("--client", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        ask(*options.client)
        return
    count = 64 if options.tiny else options.requests
    with tempfile.TemporaryDirectory() as folder:
        if options.model is None:
            toys.write_bundle(Path(folder) / "model")
        try:
            detector = OmniDet.from_pretrained(options.model or Path(folder) / "model")
        except (OSError, ValueError) as error:
            parser.error(str(error))
    bare(detector, PICTURE, 16)
    listener = listening("127.0.0.1", 0)
    server = Server(Service(detector, "toy", "1", ServerConfig(port=0)))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    numbers: dict[str, float] = {}
    try:
        for clients in options.clients:
            numbers |= measured(detector, listener.getsockname()[1], clients, count)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=1) + "\n")


def measured(detector: OmniDet, port: int, clients: int, count: int) -> dict[str, float]:
    """The numbers of so many clients, and a line about them."""
    # Before and after, since other work on the machine comes and goes.
    before = bare(detector, PICTURE, min(count, 500))
    server, seconds, lost = served(port, clients, count)
    after = bare(detector, PICTURE, min(count, 500))
    p95 = float(np.percentile(seconds, 95)) / statistics.mean(seconds)
    share = server.rate / statistics.harmonic_mean([before.rate, after.rate])
    by_processor = server.processor_rate / statistics.harmonic_mean(
        [before.processor_rate, after.processor_rate]
    )
    print(
        f"{clients:3} clients: {server.rate:7.1f}/s, {share:.2f} of the bare model "
        f"({by_processor:.2f} by processor time), p95 {p95:.2f} x the mean, "
        f"{lost} of {count} lost",
        flush=True,
    )
    return {
        f"rate_over_bare_{clients}": share,
        f"processor_rate_over_bare_{clients}": by_processor,
        f"p95_over_mean_{clients}": p95,
        f"lost_{clients}": lost,
    }


if __name__ == "__main__":
    main()
