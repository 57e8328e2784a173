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
    max_phrases: int = 2000
    max_phrase_characters: int = 300
    max_detections: int = 1000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} is {value}: give 1 or more")


@dataclass(frozen=True)
class ServerConfig:
    """How a server listens, and how much it does at once."""

    host: str = "127.0.0.1"
    port: int = 8080
    concurrency: int = 2
    """Detections at the same time.

    With two, one request's image is decoded while the detector looks at another's.
    """
    max_waiting: int = 32
    """Requests that may wait, with their bodies in memory; further ones are asked to try again."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ValueError(f"port {self.port}: give one from 1 to 65535, or 0 for any free one")
        if self.concurrency < 1:
            raise ValueError(f"concurrency {self.concurrency}: give 1 or more")
        if self.max_waiting < 0:
            raise ValueError(f"max_waiting {self.max_waiting}: give 0 or more")
