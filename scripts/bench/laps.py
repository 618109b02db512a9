"""Repeated measurements as a report has them, and how large a process became."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, 95th percentile and minimum of repeated measurements."""

    p50_ms: float
    p95_ms: float
    min_ms: float
    repeats: int

    @classmethod
    def of(cls, laps_ms: Sequence[float]) -> Spread:
        """At least one measurement."""
        p50_ms, p95_ms = np.percentile(laps_ms, (50, 95))
        return cls(round(float(p50_ms), 3), round(float(p95_ms), 3), round(min(laps_ms), 3), len(laps_ms))

    def as_json(self) -> dict[str, float]:
        """The keys of the report."""
        return {
            "p50_ms": self.p50_ms,
            "p95_ms": self.p95_ms,
            "min_ms": self.min_ms,
            "repeats": self.repeats,
        }


def too_busy() -> str:
    """What is said instead of a measurement that this machine, as busy as it is, does not give."""
    return (
        f"this machine is too busy to measure (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores); "
        "try again when it is not, and where it never is, see stile doctor"
    )


def peak_mb(process: int | str = "self") -> float:
    """The most memory a process ever had, MiB: VmHWM, which unlike ru_maxrss forgets who started it."""
    for line in Path(f"/proc/{process}/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0
