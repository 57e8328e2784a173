"""What a server counts, in the text form of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one server, apart from those of any other in the process."""

    def __init__(self, name: str, waiting: Callable[[], int]) -> None:
        """`waiting` gives the number of requests under way."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "omnidet_requests", "Answered requests", ["route", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "omnidet_request_seconds",
            "From the header of a request to the end of its answer",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.decoding = Histogram(
            "omnidet_decoding_seconds", "Per picture", buckets=_SECONDS, registry=self._registry
        )
        self._batches = Histogram(
            "omnidet_batch_pictures",
            "Pictures that went through the detector together",
            buckets=_SIZES,
            registry=self._registry,
        )
        under_way = Gauge(
            "omnidet_requests_under_way", "Requests with a place", registry=self._registry
        )
        under_way.set_function(waiting)
        self._model = Gauge(
            "omnidet_model",
            "1 for the version that answers",
            ["name", "version"],
            registry=self._registry,
        )
        self._name = name

    def version(self, version: str) -> None:
        """Another version answers."""
        self._model.clear()
        self._model.labels(self._name, version).set(1)

    def batch(self, size: int) -> None:
        """A batch went through the detector."""
        self._batches.observe(size)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered.

        Args:
            route: its pattern, so that clients cannot add series at will.
        """
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self._registry)
