"""Fixtures for other people's tests (`pytest11` entry point `stile_harness`); imported only where used.

`stile_harness` is the whole; `stile_broker`, `stile_central`, `stile_kiosk`, `stile_faults` are its parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from scripts.harness.sandbox import (
        Sandbox,
        SandboxBroker,
        SandboxCentral,
        SandboxFaults,
        SandboxKiosk,
    )


@pytest.fixture
def stile_harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A running broker, central and kiosk on loopback, in processes and files of this test's own."""
    from scripts.harness.sandbox import Sandbox

    sandbox = Sandbox(tmp_path_factory.mktemp("stile"))
    try:
        sandbox.open()
        yield sandbox
    finally:
        sandbox.close()


@pytest.fixture
def stile_broker(stile_harness: Sandbox) -> SandboxBroker:
    """The broker: `kill`, `start`."""
    return stile_harness.broker


@pytest.fixture
def stile_central(stile_harness: Sandbox) -> SandboxCentral:
    """Central: `members`, `restrict`, `lift`, `withdraw`, `command`."""
    return stile_harness.central


@pytest.fixture
def stile_kiosk(stile_harness: Sandbox) -> SandboxKiosk:
    """The kiosk: `pass_through`, `knows`, `sent`."""
    return stile_harness.kiosk


@pytest.fixture
def stile_faults(stile_harness: Sandbox) -> SandboxFaults:
    """Faults of the line, of the host's clock and of its disk; `heal` ends those of the line."""
    return stile_harness.faults
