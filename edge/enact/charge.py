"""A checkout, what a member is asked to pay, and what becomes of it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from wire.ids import SLUG_PATTERN

NAME_MAX = 60
"""Characters of a merchant's name: a line of the screen."""


class PayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `pay`: who gets the money, and how long each part of a payment may take.

    `merchant_name`: what members read; None is `merchant`. `checkout_s`: how long a checkout stays open.
    `agree_ms`: for the member to agree. `charge_ms`, `refund_ms`: for central to answer, before it is silent.
    `receipt_ms`: how long the receipt stays on the screen.
    """

    merchant: Annotated[str, Meta(pattern=SLUG_PATTERN)]
    merchant_name: Annotated[str, Meta(min_length=1, max_length=NAME_MAX)] | None = None
    checkout_s: Annotated[int, Meta(ge=30, le=86_400)] = 300
    agree_ms: Annotated[int, Meta(ge=5_000, le=120_000)] = 20_000
    charge_ms: Annotated[int, Meta(ge=200, le=30_000)] = 3_000
    refund_ms: Annotated[int, Meta(ge=200, le=30_000)] = 5_000
    receipt_ms: Annotated[int, Meta(ge=1_000, le=120_000)] = 15_000

    @property
    def shown_name(self) -> str:
        """The name that members read."""
        return self.merchant_name or self.merchant
