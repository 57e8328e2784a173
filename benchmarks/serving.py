"""How much of a detector's batched rate a server gives to 1, 4, 16 and 32 clients.

    python benchmarks/serving.py --model FOLDER [--requests 2000] [--json OUT]

Server, clients and the bare model share one process and one run: only the ratios mean something.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from omnidet.inference.detector import OmniDet
from omnidet.serving.config import ServerConfig
from omnidet.serving.server import Server, listening
from omnidet.serving.service import Service
from tests import toys

CLIENTS = (1, 4, 16, 32)
PATH = "/detect?phrases=red+star&phrases=ring&threshold=0"


def bare(detector: OmniDet, picture: bytes, count: int, batch: int = 8) -> float:
    """Pictures a second through the detector, decoded beforehand, in batches."""
    from omnidet.inference import pictures

    opened = pictures.read(picture)
    square = np.asarray(opened.letterboxed(detector.image_size).pixels)
    started = time.perf_counter()
    for _ in range(-(-count // batch)):
        detector.regions([square] * batch)
    return -(-count // batch) * batch / (time.perf_counter() - started)


def served(port: int, picture: bytes, clients: int, count: int) -> tuple[float, list[float], int]:
    """Answers a second, the seconds of each, and how many were lost."""

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

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        outcomes = list(pool.map(one, range(clients)))
    rate = count / (time.perf_counter() - started)
    return rate, [s for own, _ in outcomes for s in own], sum(lost for _, lost in outcomes)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of a detector (default: a toy)")
    parser.add_argument("--requests", type=int, default=2000, help="for each number of clients")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tiny", action="store_true", help="check that it runs")
    options = parser.parse_args()
    count = 64 if options.tiny else options.requests
    with tempfile.TemporaryDirectory() as folder:
        if options.model is None:
            toys.write_bundle(Path(folder) / "model")
        detector = OmniDet.from_pretrained(options.model or Path(folder) / "model")
    picture = toys.png(128, 96, [(5, 5, 20, 20)])
    bare(detector, picture, 16)
    listener = listening("127.0.0.1", 0)
    server = Server(Service(detector, "toy", "1", ServerConfig(port=0)))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    numbers: dict[str, float] = {}
    try:
        for clients in CLIENTS:
            model_rate = bare(detector, picture, count)
            rate, seconds, lost = served(listener.getsockname()[1], picture, clients, count)
            p95 = float(np.percentile(seconds, 95)) / statistics.mean(seconds)
            numbers[f"rate_over_bare_{clients}"] = rate / model_rate
            numbers[f"p95_over_mean_{clients}"] = p95
            numbers[f"lost_{clients}"] = lost
            print(
                f"{clients:3} clients: {rate:7.1f}/s, {rate / model_rate:.2f} of the bare model, "
                f"p95 {p95:.2f} x the mean, {lost} of {count} lost",
                flush=True,
            )
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
