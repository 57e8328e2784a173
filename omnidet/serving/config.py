"""What a server allows.

The command line reads the defaults here, so this file imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """The most that one request may ask for."""

    max_request_bytes: int = 16 << 20
    max_images: int = 16
    max_pixels: int = 25_000_000
    """Of each picture: decoding one takes a second and 100 to 900 MB, by its format."""
    max_decoding_seconds: int = 20
    """For all pictures of a request together."""
    max_phrases: int = 2000
    max_phrase_characters: int = 300
    max_detections: int = 1000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} is {value}: give 1 or more")


@dataclass(frozen=True)
class Patience:
    """How long a server waits for clients, and how many it has at once."""

    header_seconds: float = 10.0
    """From the first byte of a request, or the start of a connection, to the end of its header."""
    keep_alive_seconds: float = 30.0
    """An idle connection is closed after this."""
    body_seconds: float = 60.0
    """For a whole body."""
    body_window_seconds: float = 10.0
    """Within this time `body_window_bytes` more must arrive, or the end of the body."""
    body_window_bytes: int = 10 << 10
    linger_seconds: float = 2.0
    """What still comes of a request that was answered early is thrown away for so long."""
    write_seconds: float = 30.0
    """A client that does not take its answer is cut off after this."""
    stop_seconds: float = 25.0
    """For requests that have begun when the server is stopped: less than Kubernetes' 30."""
    stop_body_seconds: float = 5.0
    """Of that, for bodies that are still on their way."""
    max_connections: int = 512
    """Above this the one that has been idle longest is closed for a new one."""
    max_body_bytes: int = 256 << 20
    """Of all requests together. Above this the oldest body that is still arriving gives way."""


@dataclass(frozen=True)
class ServerConfig:
    """How a server listens, and how much it does at once."""

    host: str = "127.0.0.1"
    port: int = 8080
    concurrency: int = 2
    """Requests whose pictures are decoded at the same time."""
    batch: int = 8
    """Pictures that go through the detector together, if so many wait."""
    max_waiting: int = 64
    """Requests that may wait, with their bodies in memory; further ones are asked to try again."""
    limits: Limits = field(default_factory=Limits)
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ValueError(f"port {self.port}: give one from 1 to 65535, or 0 for any free one")
        for name in ("concurrency", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: give 1 or more")
        if self.max_waiting < 0:
            raise ValueError(f"max_waiting {self.max_waiting}: give 0 or more")
        largest, all_together = self.limits.max_request_bytes, self.patience.max_body_bytes
        if largest > all_together:  # it would be asked to try again for ever
            raise ValueError(
                f"one request of {largest >> 20} megabytes, and all together have "
                f"{all_together >> 20}: give --max-request-megabytes {all_together >> 20} or less"
            )
