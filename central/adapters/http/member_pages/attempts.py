"""Attempts: how often strangers may try codes, from one address and in sum."""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter

SPAN_MS = 600_000
EACH_MAX = 20
"""Tries of one address in a span; right ones are given back."""
TOTAL_MAX = 1200
"""Tries of all addresses in a span: two a second, each up to one argon2id."""
PREFIX_V6 = 64
"""One household or server holds a whole network of this length."""


class Attempts:
    """Counts tries in spans of time. It keeps as many addresses as there may be tries, and no more."""

    def __init__(self, each_max: int = EACH_MAX, total_max: int = TOTAL_MAX, span_ms: int = SPAN_MS) -> None:
        self._each_max, self._total_max, self._span_ms = each_max, total_max, span_ms
        self._span = -1
        self._taken: Counter[str] = Counter()
        self._guard = threading.Lock()  # routes run in threads

    def take(self, address: str, now_ms: int) -> bool:
        """Take a try of an address; False when none is left until the next span."""
        source = network_of(address)
        with self._guard:
            if now_ms // self._span_ms != self._span:
                self._span = now_ms // self._span_ms
                self._taken.clear()
            if self._taken[source] >= self._each_max or self._taken.total() >= self._total_max:
                return False
            self._taken[source] += 1
            return True

    def give_back(self, address: str) -> None:
        """Give back a try that was right: who knows a code is no stranger."""
        source = network_of(address)
        with self._guard:
            if self._taken[source] > 0:
                self._taken[source] -= 1


def network_of(address: str) -> str:
    """What one holder of an address has: an IPv4 address, or a network of IPv6."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known, PREFIX_V6), strict=False))
