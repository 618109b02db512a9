"""Stile's own gate controller as a Gate: the link, on a serial port, on an asyncio loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import assert_never

from firmware_bridge import gate, messages
from firmware_bridge.auth import GATE_KEY_SIZE, GateKeys, derive_keys
from firmware_bridge.drivers.capabilities import capabilities_of
from firmware_bridge.drivers.keyfile import read_hex_key
from firmware_bridge.errors import PortUnavailableError
from firmware_bridge.link import Down, EventReported, GateLink, Handshake, LinkEvent, ReleaseAnswered, Up
from firmware_bridge.messages import Answer, Inputs, Nonce, Outputs
from firmware_bridge.port import SerialPort

CAPABILITIES = capabilities_of("own")

EVENTS_MAX = 256
"""Events not yet taken by the kiosk. The controller sends one at a time, so only news of the link can pile
up, and that is dropped beyond this."""

_STATUS = {
    Handshake.CLOSED: gate.LinkStatus.NO_PORT,
    Handshake.GREETING: gate.LinkStatus.GREETING,
    Handshake.GREETED: gate.LinkStatus.GREETING,
    Handshake.UP: gate.LinkStatus.UP,
}


class OwnGate:
    """A Gate over one serial port; made by `open_own_gate`."""

    def __init__(
        self,
        path: str,
        keys: GateKeys,
        clock_ms: Callable[[], int],
        draw_challenge: Callable[[], bytes],
    ) -> None:
        self._path = path
        self._clock_ms = clock_ms
        self._link = GateLink(keys, draw_challenge)
        self._port = SerialPort(path, self)
        self._port_error: PortUnavailableError | None = None
        self._answers: dict[Nonce, asyncio.Future[gate.ReleaseOutcome]] = {}
        self._events: deque[tuple[gate.GateEvent, EventReported | None]] = deque()
        self._arrived = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    # --- Gate -----------------------------------------------------------------------------------------

    async def release(self, release: gate.GateRelease) -> gate.ReleaseOutcome:
        """Open once for one person; raises MessageBoundError on a release that could never be sent."""
        refusal = self._link.release(
            release.passage_id,
            release.nonce,
            direction=release.direction,
            not_after_ms=release.not_after_ms,
            open_ms=release.open_ms,
            now_ms=self._clock_ms(),
        )
        if refusal is not None:
            return gate.ReleaseRefused(gate.RefusedBecause(refusal.value))
        answer: asyncio.Future[gate.ReleaseOutcome] = asyncio.get_running_loop().create_future()
        self._answers[release.nonce] = answer
        self._pump()
        return await answer

    async def events(self) -> AsyncIterator[gate.GateEvent]:
        """Events in order until closed; asking for the next acknowledges the last."""
        while True:
            while not self._events:
                if self._closed:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            event, reported = self._events[0]
            yield event
            self._events.popleft()
            if reported is not None:
                self._link.acknowledge(reported)
                self._pump()

    def state(self) -> gate.GateStatus:
        """The gate as last heard."""
        link, status = self._link, self._link.status
        trouble = None if link.trouble is None else f"gate on {self._path}: {link.trouble}"
        if self._port_error is not None:
            trouble = str(self._port_error)
        ignored = {f"host_{because}": count for because, count in link.ignored.items()}
        up = link.standing is Handshake.UP and status is not None
        standing = _STATUS[link.standing]
        if link.mismatched:
            standing = gate.LinkStatus.MISMATCHED
        if not up or status is None:
            return gate.GateStatus(
                CAPABILITIES, standing, trouble, None, None, None, None, None, link.boot_id, None, ignored
            )
        ignored |= {f"gate_{because}": count for because, count in _ignored_by_gate(status).items()}
        return gate.GateStatus(
            CAPABILITIES,
            standing,
            trouble,
            status.mode,
            status.fault,
            _inputs(status.inputs),
            bool(status.outputs & Outputs.ENTRY_UNLOCKED),
            bool(status.outputs & Outputs.EXIT_UNLOCKED),
            link.boot_id,
            status.uptime_ms,
            ignored,
        )

    async def close(self) -> None:
        """Stop talking; a pending release becomes Unanswered, and `events` ends."""
        if self._closed:
            return
        self._closed = True
        await self._port.close()
        self._take(self._link.closed("closed by this program"))
        if self._timer is not None:
            self._timer.cancel()
        self._arrived.set()

    # --- Session of the port --------------------------------------------------------------------------

    def port_opened(self) -> None:
        """Greet the controller."""
        self._port_error = None
        self._link.opened(self._clock_ms())
        self._pump()

    def port_read(self, received: bytes) -> None:
        """Bytes from the controller."""
        self._take(self._link.receive(received, self._clock_ms()))
        self._pump()

    def port_closed(self, error: PortUnavailableError) -> None:
        """Nothing sent so far may act later."""
        self._port_error = error
        self._take(self._link.closed(str(error)))

    # --- inside ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; needs a running loop."""
        self._port.start()

    def _pump(self) -> None:
        now_ms = self._clock_ms()
        self._take(self._link.poll(now_ms))
        self._port.write(self._link.outgoing())
        if self._timer is not None:
            self._timer.cancel()
        due_ms = self._link.next_poll_ms(now_ms)
        self._timer = None
        if due_ms is not None and not self._closed:
            delay_s = max(due_ms - now_ms, 1) / 1_000
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._port.call, self._pump)

    def _take(self, happened: tuple[LinkEvent, ...]) -> None:
        for event in happened:
            match event:
                case ReleaseAnswered():
                    answer = self._answers.pop(event.nonce, None)
                    if answer is not None and not answer.done():
                        answer.set_result(_outcome(event.answer))
                case Up():
                    self._tell(gate.LinkUp(event.boot_id))
                case Down():
                    self._tell(gate.LinkLost(event.why))
                case EventReported():
                    self._events.append((event.event, event))
                case _:
                    assert_never(event)
            self._arrived.set()

    def _tell(self, news: gate.LinkUp | gate.LinkLost) -> None:
        if len(self._events) < EVENTS_MAX:
            self._events.append((news, None))


def open_own_gate(
    path: str, keys: GateKeys, *, clock_ms: Callable[[], int], draw_challenge: Callable[[], bytes]
) -> OwnGate:
    """A gate on a serial port, inside a running loop; returns at once, `state` and `events` tell the rest.

    `clock_ms` is monotonic, and `GateRelease.not_after_ms` is on it; `draw_challenge` gives 8 random bytes.
    """
    opened = OwnGate(path, keys, clock_ms, draw_challenge)
    opened.start()
    return opened


def read_keys(key_file: Path, gate_id: str) -> GateKeys:
    """The keys of one gate, of a file of 64 hexadecimal digits; raises GateKeyError saying what to do."""
    return derive_keys(read_hex_key(key_file, GATE_KEY_SIZE), gate_id)


def _outcome(answer: Answer | None) -> gate.ReleaseOutcome:
    if answer is None:
        return gate.Unanswered()
    if answer is Answer.ACCEPTED:
        return gate.Accepted()
    if answer is Answer.ALREADY:
        return gate.ReleaseRefused(gate.RefusedBecause.REPEATED)
    return gate.ReleaseRefused(gate.RefusedBecause(answer.name.lower()))


def _inputs(inputs: Inputs) -> gate.GateInputs:
    return gate.GateInputs(
        beam_a=bool(inputs & Inputs.BEAM_A),
        beam_b=bool(inputs & Inputs.BEAM_B),
        door_open=bool(inputs & Inputs.DOOR_OPEN),
        request_to_exit=bool(inputs & Inputs.REQUEST_TO_EXIT),
        fire=bool(inputs & Inputs.FIRE),
        emergency=bool(inputs & Inputs.EMERGENCY),
        tamper=bool(inputs & Inputs.TAMPER),
        fail_open_jumper=bool(inputs & Inputs.FAIL_OPEN),
        provisioning_jumper=bool(inputs & Inputs.PROVISIONING),
    )


def _ignored_by_gate(status: messages.Status) -> dict[str, int]:
    prefix = "ignored_"
    return {
        name.removeprefix(prefix): getattr(status, name)
        for name in messages.Status.__slots__
        if name.startswith(prefix)
    }
