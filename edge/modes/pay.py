"""What a kiosk that takes money is opened with besides: its checkouts, central's ledger, the till's API."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from edge.adapters.central.payments import CentralPayments
from edge.adapters.central.uplink import UplinkParts
from edge.adapters.storage.checkouts import Checkouts
from edge.adapters.till.app import Counter
from edge.adapters.till.server import serve_till, token_of
from edge.config import KioskConfig
from edge.errors import ConfigError

TOKEN_FILE = "till.token"  # noqa: S105 - a file's name


@dataclass(frozen=True, slots=True)
class OpenTill:
    """The parts, and where tills find the API."""

    checkouts: Checkouts
    payments: CentralPayments
    url: str
    token_file: Path


@contextlib.asynccontextmanager
async def open_till(config: KioskConfig, uplink: UplinkParts) -> AsyncIterator[OpenTill]:
    """Serve tills while the context lasts. Raises `ConfigError`, and `StoreError` for the token's file."""
    if config.pay is None:
        raise ConfigError("[pay]", None, 'is missing, and kiosk.mode = "pay" needs it')
    checkouts = Checkouts(uplink.outbox.database, uplink.outbox.sealer, uplink.environment.random_bytes)
    now_ms = uplink.clock.estimate_ms
    payments = CentralPayments(checkouts, uplink.link, config.pay, now_ms)
    token_file = Path(config.till.token_file or Path(config.kiosk.state_dir) / TOKEN_FILE)
    counter = Counter(checkouts, payments, config.pay, now_ms)
    async with serve_till(counter, token_of(token_file), config.till.host, config.till.port) as url:
        yield OpenTill(checkouts, payments, url, token_file)
