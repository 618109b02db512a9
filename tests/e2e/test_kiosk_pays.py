"""A whole kiosk that takes money, and a real central: paid once, given back, and never charged by half."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge.enact.display import Prompt
from tests.doubles.counter import TEA, open_counter
from tests.doubles.waiting import WAIT_S, eventually
from wire.records import ChargeOutcome
from wire.values import AgreeBy


async def test_a_member_pays_once_whatever_a_lost_reply_and_a_restart_do_and_is_given_it_back(
    tmp_path: Path,
) -> None:
    async with open_counter(tmp_path) as counter:
        async with counter.running() as kiosk:
            counter.central.use_cases.ledger.top_up(counter.member.subject, 1000, "EUR")
            assert counter.shown[-1].prompt is Prompt.NO_CHECKOUT
            assert counter.screen.notice.mode == "pay"
            made = await counter.till("POST", "/checkouts", TEA)
            taken = asyncio.Event()
            take = kiosk.till.payments.take

            async def take_and_hear_nothing(ask):
                await take(ask)
                taken.set()
                await asyncio.Event().wait()

            # `CentralPayments` is what the kiosk holds: central commits, and its reply never comes.
            kiosk.till.payments.take = take_and_hear_nothing
            await counter.agrees()
            async with asyncio.timeout(WAIT_S):
                await taken.wait()
            assert counter.stored_minor() == 750
            assert (await counter.till("GET", f"/checkouts/{made['checkout']}"))["state"] == "paying"
        async with counter.running() as kiosk:
            lost = await counter.settled()
            assert (lost.charge.outcome, lost.charge.reason) == (ChargeOutcome.NOT_CHARGED, "interrupted")
            await eventually(lambda: counter.stored_minor() == 1000, "central has reversed it")
            assert (await counter.till("POST", "/checkouts", TEA))["state"] == "open"
            await counter.agrees()
            paid = await counter.settled()
            assert (paid.charge.outcome, paid.charge.agreed_by) == (ChargeOutcome.CAPTURED, AgreeBy.BUTTON)
            await eventually(lambda: counter.shown[-1].prompt is Prompt.PAID, "the receipt is shown")
            assert paid.record_id in counter.shown[-1].qr_text
            said = await counter.till("GET", f"/checkouts/{made['checkout']}")
            assert (said["state"], said["record"]) == ("paid", paid.record_id)
            await eventually(lambda: kiosk.uplink.outbox.backlog.waiting == 0, "central has the record")
            assert counter.stored_minor() == 750
            given = await counter.till("POST", f"/checkouts/{made['checkout']}/refund", {})
            assert (given["amount_minor"], counter.stored_minor()) == (250, 1000)
