"""Central's ledger as a kiosk that takes money asks it: charge once, give back once, or hear nothing."""

from __future__ import annotations

from collections.abc import Callable

from edge.adapters.central.link import Link
from edge.adapters.storage.checkouts import Checkouts, Refund
from edge.enact.charge import ChargeAnswer, ChargeAsk, ChargeSaid, CheckoutState, Due, PayConfig, expired
from edge.errors import CheckoutError
from wire.ids import Nonce, RecordId, SubjectId
from wire.requests import ChargeReply, ChargeRequest, RefundReply, RefundRequest, Refusal, Refused, Request

ASKS = 2
"""Questions within `pay.charge_ms`, under one key: the second finds what the first one did."""


class CentralPayments:
    """Fulfils `edge.ports.Payments`; `refund` is the till's. `now_ms` is the best guess at UTC."""

    def __init__(
        self, checkouts: Checkouts, link: Link, config: PayConfig, now_ms: Callable[[], int]
    ) -> None:
        self._checkouts, self._link, self._config, self._now_ms = checkouts, link, config, now_ms

    def due(self) -> Due | None:
        """The one checkout that is open, if any; at once."""
        checkout = self._checkouts.under_way()
        if checkout is None or expired(checkout, self._now_ms()).state is not CheckoutState.OPEN:
            return None
        return checkout.due

    def offline_spent_minor(self, subject: SubjectId, standing_issued_at_ms: int) -> int:
        """What was taken from the subject offline and still counts against an allowance issued then."""
        return self._checkouts.offline_spent_minor(subject, standing_issued_at_ms)

    async def take(self, ask: ChargeAsk) -> ChargeSaid:
        """Have central charge once, by the passage's id; bounded in time, never raises."""
        due, key = ask.due, RecordId(ask.passage)

        def question(nonce: Nonce, not_after_ms: int) -> Request:
            return ChargeRequest(
                nonce=nonce,
                not_after_ms=not_after_ms,
                idempotency_key=key,
                subject=ask.subject,
                passage=ask.passage,
                amount_minor=due.amount_minor,
                currency=due.currency,
                reference=due.reference,
                checkout=due.checkout,
                merchant=due.merchant,
            )

        for _ in range(ASKS):
            reply = await self._link.ask(question, (ChargeReply, Refused), self._config.charge_ms // ASKS)
            match reply:
                case ChargeReply(idempotency_key=answered, accepted=accepted, reason=reason) if (
                    answered == key
                ):
                    return ChargeSaid(ChargeAnswer.CHARGED if accepted else ChargeAnswer.DECLINED, reason)
                case Refused(reason=Refusal.NOT_OFFERED):
                    return ChargeSaid(ChargeAnswer.DECLINED, Refusal.NOT_OFFERED.value)
                case _:
                    pass
        return ChargeSaid(ChargeAnswer.SILENT)

    async def refund(self, till_key: str, checkout_id: RecordId, amount_minor: int | None) -> Refund:
        """Give so much of a paid checkout back (None: the rest); `accepted` is None while central is silent.

        Raises `CheckoutError` for what cannot be given back, whatever central says.
        """
        checkout = self._checkouts.find(checkout_id)
        if checkout is None:
            raise CheckoutError("unknown", "there is no such checkout here")
        refund = await self._checkouts.begin_refund(till_key, checkout_id, amount_minor)
        if (
            refund.accepted is not None
            or checkout.passage is None
            or not self._checkouts.central_has(checkout)
        ):
            return refund
        charge = RecordId(checkout.passage)

        def question(nonce: Nonce, not_after_ms: int) -> Request:
            return RefundRequest(nonce, not_after_ms, refund.refund_id, charge, refund.amount_minor)

        reply = await self._link.ask(question, RefundReply, self._config.refund_ms)
        if reply is None or reply.idempotency_key != refund.refund_id:
            return refund
        return await self._checkouts.end_refund(till_key, accepted=reply.accepted, reason=reply.reason)
