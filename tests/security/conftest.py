"""A central of its own for each test, as the broker tests have it."""

from __future__ import annotations

from tests.broker.conftest import clock, config, rig

__all__ = ["clock", "config", "rig"]
