"""The kiosk's own brake on PINs: it outlives restarts, and one right PIN does not release it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge.adapters.central.pins import WAIT_MAX_MS, CentralPins
from edge.confirm.pin import PinOutcome
from wire.ids import Nonce, SubjectId
from wire.requests import PinOutcome as CentralOutcome
from wire.requests import PinReply
from wire.sealing import box_public_key, open_box, pin_binding

BOX_PRIVATE = b"p" * 32
SUBJECT = SubjectId("a" * 32)
NONCE = Nonce(b"n" * 16)


class Central:
    """Answers PIN questions as it is told, or not at all."""

    def __init__(self) -> None:
        self.answer: CentralOutcome | None = CentralOutcome.WRONG
        self.pins: list[str] = []

    async def ask(self, question: Callable[[Nonce, int], Any], expected: type, deadline_ms: int) -> Any:
        request = question(NONCE, 1)
        binding = pin_binding("gate-1", request.subject, NONCE)
        self.pins.append(open_box(BOX_PRIVATE, request.sealed_pin, binding).decode())
        return None if self.answer is None else PinReply(NONCE, self.answer, 4, 0)


class Machine:
    """What outlives a restart, and a clock."""

    kiosk = "gate-1"
    central_box_public_key = box_public_key(BOX_PRIVATE)

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.now_ms = 0

    def kept(self, name: str) -> int:
        return self.numbers.get(name, 0)

    def keep(self, name: str, value: int) -> None:
        self.numbers[name] = value

    def start(self, central: Central) -> CentralPins:
        drawn = iter(range(1, 255))
        return CentralPins(self, central, self, lambda: self.now_ms, lambda n: bytes([next(drawn)]) * n)


@pytest.fixture
def central() -> Central:
    return Central()


@pytest.fixture
def machine() -> Machine:
    return Machine()


async def wrong(pins: CentralPins, machine: Machine, times: int) -> None:
    for _ in range(times):
        judged = await pins.check(SUBJECT, "1111")
        while judged.outcome is PinOutcome.WAIT:
            machine.now_ms += judged.retry_after_ms
            judged = await pins.check(SUBJECT, "1111")


async def test_the_waits_double_up_to_their_bound(machine: Machine, central: Central):
    pins = machine.start(central)
    await wrong(pins, machine, 3)
    waits = []
    for _ in range(8):
        await wrong(pins, machine, 1)
        waits.append((await pins.check(SUBJECT, "1111")).retry_after_ms)
    assert waits == [1000, 2000, 4000, 8000, 16000, 32000, WAIT_MAX_MS, WAIT_MAX_MS]


async def test_while_waiting_central_is_not_asked(machine: Machine, central: Central):
    pins = machine.start(central)
    await wrong(pins, machine, 4)
    asked = len(central.pins)
    assert (await pins.check(SUBJECT, "2222")).outcome is PinOutcome.WAIT
    assert len(central.pins) == asked


async def test_after_a_restart_the_whole_wait_is_due_again(machine: Machine, central: Central):
    await wrong(machine.start(central), machine, 6)
    machine.now_ms += 3999
    again = machine.start(central)
    assert (await again.check(SUBJECT, "1111")).retry_after_ms == 4000


async def test_a_right_pin_halves_the_count_and_does_not_forget_it(machine: Machine, central: Central):
    pins = machine.start(central)
    await wrong(pins, machine, 9)
    machine.now_ms += WAIT_MAX_MS
    central.answer = CentralOutcome.RIGHT
    assert (await pins.check(SUBJECT, "2468")).outcome is PinOutcome.RIGHT
    assert list(machine.numbers.values()) == [4]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (CentralOutcome.LOCKED, PinOutcome.EXHAUSTED),
        (CentralOutcome.WAIT, PinOutcome.WAIT),
        (CentralOutcome.NO_PIN, PinOutcome.UNAVAILABLE),
        (None, PinOutcome.UNAVAILABLE),
    ],
)
async def test_what_is_not_a_wrong_pin_slows_nobody_down(
    machine: Machine, central: Central, answer: CentralOutcome | None, outcome: PinOutcome
):
    central.answer = answer
    pins = machine.start(central)
    for _ in range(10):
        assert (await pins.check(SUBJECT, "2468")).outcome is outcome
    assert machine.numbers == {}


@pytest.mark.parametrize("text", ["", "12a4", "１２３４", "1" * 13])
async def test_what_cannot_be_a_pin_is_wrong_without_asking(machine: Machine, central: Central, text: str):
    judged = await machine.start(central).check(SUBJECT, text)
    assert (judged.outcome, central.pins) == (PinOutcome.WRONG, [])
