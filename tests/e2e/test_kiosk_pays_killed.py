"""A kiosk that takes money, killed with SIGKILL at every step: charged once or not at all, and all say so."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import pytest_asyncio

from central.adapters.broker.embedded import free_port
from central.app import Central, init_central, load_config, open_central
from central.rules.enrolment import Consent
from central.rules.ledger import Charge, State
from central.rules.scorecard import Event, EventKind, EventOutcome
from edge.adapters.central.pairing import pair
from edge.compare.claim import qr_text
from edge.config import BrokerSection, KioskConfig, KioskSection, PayConfig, ScreenSection, TillSection
from edge.modes.common import Extras
from edge.modes.lane import open_kiosk
from scripts.stage.stage import OPERATOR, PURPOSE, SITE
from tests.doubles.central_rig import CHEAP_HASHER
from tests.doubles.kiosk_rig import Eager
from tests.doubles.pay_child import Point, Purchase, empty_room, pay_until_killed
from tests.doubles.till import Till
from tests.doubles.waiting import WAIT_S, eventually
from wire.codec import Decoded, decode, decode_record
from wire.environment import Environment, utc_ms
from wire.ids import KioskId, Purpose, SubjectId
from wire.records import ChargeOutcome, PassRecord
from wire.requests import ChargeReply
from wire.topics import Address

pytestmark = pytest.mark.asyncio(loop_scope="module")

STORED_MINOR, PRICE_MINOR = 1_000, 250
TEA = {"amount_minor": PRICE_MINOR, "currency": "EUR", "reference": "tea"}
TAKEN = {
    Point.SETTLED: ChargeOutcome.CAPTURED,
    Point.ALONE_SETTLED: ChargeOutcome.OFFLINE,
    Point.SILENCE_SETTLED: ChargeOutcome.OFFLINE,
}
"""What the record says where the kiosk had settled; anywhere else nobody was told, and nothing stands."""
COMMITTED = {Point.UNHEARD, Point.UNSETTLED, Point.SETTLING, Point.SETTLED, Point.SILENCE_SETTLED}
"""Where central had charged before the kiosk died."""
HASTY_MS, PATIENT_MS = 1_000, 30_000
"""`pay.charge_ms`: to give central up at once, or never."""
DAY_MS = 86_400_000


@dataclass
class Office:
    """Central with its broker for every point; a kiosk and a member are made for each."""

    central: Central
    folder: Path
    mute: bool = False
    """Central commits charges, and what it says of them is lost."""

    def __post_init__(self) -> None:
        answer = self.central.router.answer

        async def answered(address: Address, payload: bytes) -> list[tuple[Address, bytes]]:
            outgoing = await answer(address, payload)
            return [sent for sent in outgoing if not (self.mute and _is_charge_reply(*sent))]

        self.central.router.answer = answered

    def member(self, pin: str) -> Purchase:
        """Somebody with claim, PIN, money and a good name, and no face; and what the till asks of them."""
        use_cases = self.central.use_cases
        subject, now_ms = use_cases.members.new_subject_id(), use_cases.context.now_ms()
        use_cases.members.enrol(subject, None, Consent("test-1", "en", now_ms))
        claim = qr_text(use_cases.members.add_qr_claim(subject))
        use_cases.members.set_pin(subject, pin)
        for _ in range(3):
            told = (os.urandom(16).hex(), subject, Purpose(PURPOSE), EventKind.FARE, EventOutcome.KEPT)
            use_cases.standings.record_event(Event(*told, now_ms))
        use_cases.ledger.top_up(subject, STORED_MINOR, "EUR")
        self.central.publish_heads()
        return Purchase(subject, claim, pin, f"key-{pin}", TEA)

    async def kiosk(self, name: KioskId, charge_ms: int) -> KioskConfig:
        """A new kiosk, paired."""
        code = self.central.use_cases.kiosks.add(name, Purpose(PURPOSE))
        (own := self.folder / name).mkdir(mode=0o700)
        await pair(self.central.http_url, code, own, software="test", random_bytes=os.urandom)
        return KioskConfig(
            kiosk=KioskSection(str(own), "pay"),
            pay=PayConfig("bistro", agree_ms=60_000, charge_ms=charge_ms),
            screen=ScreenSection(port=0),
            till=TillSection(port=0),
            broker=BrokerSection(self.central.broker.host, self.central.broker.port),
        )

    def charges(self, kiosk: KioskId) -> list[Charge]:
        """Every charge of a kiosk, whatever became of it."""
        return [each for each in self.central.use_cases.ledger._store.all_charges() if each.kiosk == kiosk]

    def standing_minor(self, kiosk: KioskId) -> list[int]:
        """What counts."""
        return [each.amount_minor for each in self.charges(kiosk) if each.state is State.STANDS]

    def stored_minor(self, subject: SubjectId) -> int:
        """What the member has left."""
        ledger = self.central.use_cases.ledger
        return ledger.balances(ledger.account_of(subject))[0].stored_minor

    def records(self, kiosk: KioskId) -> list[PassRecord]:
        """What central has of a kiosk."""
        links = self.central.use_cases.records._store.stored_links(kiosk)
        return [decode_record(link.body) for link in links]


def _is_charge_reply(address: Address, payload: bytes) -> bool:
    decoded = decode(address, payload)
    assert isinstance(decoded, Decoded)
    return isinstance(decoded.message, ChargeReply)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def only_office(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    told = load_config(init_central(folder / "central", OPERATOR, SITE, PURPOSE, mqtt_port=free_port()))
    async with open_central(told, Environment(hasher=CHEAP_HASHER)) as central:
        yield Office(central, folder)


@pytest_asyncio.fixture(loop_scope="module")
async def office(only_office: Office) -> AsyncIterator[Office]:
    """The one office, which a test that fails leaves whole to the next."""
    yield only_office
    only_office.mute = False
    await asyncio.to_thread(only_office.central.embedded.start)


async def pay_and_die(office: Office, config: KioskConfig, purchase: Purchase, point: Point) -> str:
    """One life, which ends at the point; the checkout it was paying."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.doubles.pay_child"])
    ear, mouth = context.Pipe(duplex=False)
    kiosk = context.Process(target=pay_until_killed, args=(config, purchase, point, mouth))
    kiosk.start()
    mouth.close()
    name = KioskId(Path(config.kiosk.state_dir).name)
    said: list[str] = []
    try:
        async with asyncio.timeout(WAIT_S):
            checkout = (await heard(ear, said, "may agree to ")).removeprefix("may agree to ")
            if point.alone:
                await asyncio.to_thread(office.central.embedded.stop)
            if point is Point.UNHEARD:
                await eventually(lambda: office.standing_minor(name), "central has committed")
            else:
                await heard(ear, said, "reached")
    finally:
        kiosk.kill()
        await asyncio.to_thread(kiosk.join)
        assert kiosk.exitcode == -9, said
        ear.close()
        kiosk.close()
    assert "shows paid" not in said
    return checkout


async def heard(ear: Connection, said: list[str], what: str) -> str:
    """Wait for a line that begins so."""
    while not said or not said[-1].startswith(what):
        if await asyncio.to_thread(ear.poll, 0.2):
            try:
                said.append(ear.recv())
            except EOFError:
                raise AssertionError(f"never heard {what!r} but {said}") from None
    return said[-1]


@pytest.mark.parametrize("point", Point, ids=lambda point: point.name.lower())
async def test_a_kiosk_killed_while_it_pays_charges_once_or_not_at_all_and_all_say_so(
    office: Office, point: Point
) -> None:
    name = KioskId(f"till-{list(Point).index(point)}")
    purchase = office.member(f"4711{list(Point).index(point)}7")
    config = await office.kiosk(name, HASTY_MS if point is Point.SILENCE_SETTLED else PATIENT_MS)
    office.mute = point in {Point.UNHEARD, Point.SILENCE_SETTLED}
    checkout = await pay_and_die(office, config, purchase, point)
    office.mute = False
    assert office.standing_minor(name) == [PRICE_MINOR] * (point in COMMITTED)

    environment = Environment(dice=Eager(1))  # looks for a lost broker as often as it may
    async with open_kiosk(config, Extras(camera=empty_room, environment=environment)) as kiosk:
        outbox, till = kiosk.uplink.outbox, Till.of(kiosk)
        await eventually(lambda: outbox.backlog.last == 1, "what the earlier life left is settled")
        if point.alone:
            # Before central knows of it, it counts against whatever central may allow meanwhile.
            taken = PRICE_MINOR if point in TAKEN else 0
            assert kiosk.till.checkouts.offline_spent_minor(purchase.subject, utc_ms() + DAY_MS) == taken
            assert office.charges(name) == []
            await asyncio.to_thread(office.central.embedded.start)
        await eventually(lambda: outbox.backlog.waiting == 0, "central has the record")

        (record,) = office.records(name)
        outcome = TAKEN.get(point, ChargeOutcome.NOT_CHARGED)
        assert (record.charge.outcome, record.charge.checkout) == (outcome, checkout)
        check(office, name, purchase, record)

        offline_minor = PRICE_MINOR if outcome is ChargeOutcome.OFFLINE else 0
        issued_at_ms = record.standing.issued_at_ms
        spent = kiosk.till.checkouts.offline_spent_minor
        assert spent(purchase.subject, issued_at_ms) == offline_minor
        assert spent(purchase.subject, issued_at_ms + DAY_MS) == 0

        said = await till.get(f"/checkouts/{checkout}")
        again = await till.post("/checkouts", purchase.body, purchase.till_key)
        assert again == said
        if point in TAKEN:
            assert (said["state"], said["record"], said["charge"]) == (
                "paid",
                record.record_id,
                outcome.value,
            )
        else:
            assert (said["state"], said["record"], said["reason"]) == ("open", None, "interrupted")
            await till.post(f"/checkouts/{checkout}/cancel", {}, purchase.till_key)
        assert outbox.backlog.last == 1
        check(office, name, purchase, record)


def check(office: Office, name: KioskId, purchase: Purchase, record: PassRecord) -> None:
    """Central's ledger says what the record says."""
    taken_minor = 0 if record.charge.outcome is ChargeOutcome.NOT_CHARGED else PRICE_MINOR
    (charge,) = office.charges(name)
    assert charge.charge == record.record_id
    assert charge.state is (State.STANDS if taken_minor else State.BARRED)
    assert office.stored_minor(purchase.subject) == STORED_MINOR - taken_minor
    assert office.central.use_cases.ledger.check().wrong == ()
