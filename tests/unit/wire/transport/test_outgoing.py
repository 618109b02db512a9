"""What waits on a connection: in order, within bounds, and not for ever."""

from __future__ import annotations

import pytest

from wire.topics import PACKET_MAX_BYTES
from wire.transport import outgoing as o
from wire.transport.outgoing import Outgoing, Publication, ServerLimits


class Clock:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


class Properties:
    """As paho has those of a CONNACK: an attribute for each that was there."""

    def __init__(self, **given: int) -> None:
        self.__dict__.update(given)


def said(number: int, size: int = 1) -> Publication:
    return Publication(f"t/{number}", bytes(size), 1, False)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def waiting(clock: Clock) -> Outgoing:
    return Outgoing(clock)


def send(waiting: Outgoing) -> list[str]:
    """Send what may be sent; the topics, whose last part is the number."""
    sent = []
    while (due := waiting.next()) is not None:
        waiting.sent(int(due.topic[2:]), due)
        sent.append(due.topic)
    return sent


def test_the_brokers_window_is_kept_and_the_order_too(waiting: Outgoing) -> None:
    waiting.begin(ServerLimits(receive_max=2))
    for number in range(4):
        assert waiting.add(said(number))
    assert send(waiting) == ["t/0", "t/1"]
    waiting.confirmed(1)
    assert send(waiting) == ["t/2"]
    waiting.confirmed(0)
    waiting.confirmed(2)
    assert send(waiting) == ["t/3"]
    waiting.confirmed(3)
    assert waiting.empty
    assert waiting.confirmed_count == 4


def test_what_waits_is_bounded_in_number_and_bytes(
    waiting: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(o, "WAITING_MAX", 3)
    monkeypatch.setattr(o, "WAITING_MAX_BYTES", 10)
    waiting.begin(ServerLimits(receive_max=1))
    assert [waiting.add(said(number)) for number in range(4)] == [True, True, True, False]
    assert send(waiting) == ["t/0"]
    assert not waiting.add(said(4)), "what is under way counts"
    waiting.confirmed(0)
    assert not waiting.add(said(4, 9))
    assert waiting.add(said(4, 8))


def test_the_clock_of_a_publication_runs_from_when_it_left(waiting: Outgoing, clock: Clock) -> None:
    waiting.begin(ServerLimits(receive_max=1))
    assert waiting.unconfirmed_s() == 0
    waiting.add(said(0))
    waiting.add(said(1))
    send(waiting)
    clock.s += 20
    assert waiting.unconfirmed_s() == 20
    waiting.confirmed(0)
    send(waiting)
    assert waiting.unconfirmed_s() == 0


def test_one_that_is_never_confirmed_is_told_however_many_others_are(waiting: Outgoing, clock: Clock) -> None:
    waiting.begin(ServerLimits())
    for number in range(30):
        waiting.add(said(number))
        send(waiting)
        clock.s += 1
        if number != 3:
            waiting.confirmed(number)
    assert waiting.unconfirmed_s() == 27


def test_a_new_connection_begins_with_nothing(waiting: Outgoing) -> None:
    waiting.begin(ServerLimits())
    waiting.add(said(0))
    send(waiting)
    waiting.add(said(1))
    waiting.confirmed(0)
    waiting.begin(ServerLimits())
    assert waiting.empty
    assert waiting.confirmed_count == 0
    assert send(waiting) == []


def test_a_broker_that_says_nothing_of_its_limits_has_ours() -> None:
    for nothing in (None, Properties()):
        assert ServerLimits.of(nothing) == ServerLimits()
    assert ServerLimits().complaint() == ""


def test_a_brokers_limits_are_read_and_what_is_too_small_is_said_with_both_numbers() -> None:
    generous = ServerLimits.of(Properties(ReceiveMaximum=65_535, MaximumPacketSize=2**28))
    assert generous == ServerLimits()
    small = ServerLimits.of(
        Properties(ReceiveMaximum=0, MaximumPacketSize=2000, MaximumQoS=0, RetainAvailable=0)
    )
    assert small == ServerLimits(receive_max=1, packet_max_bytes=2000, qos_max=0, retains=False)
    for word in ("2000", str(PACKET_MAX_BYTES), "QoS 0", "retained"):
        assert word in small.complaint()
