"""Pins of a Raspberry Pi as a gate, with gpiod: relays and inputs wired to the kiosk's own computer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Protocol

import gpiod
from gpiod.line import Bias, Value
from gpiod.line import Direction as LineDirection

from firmware_bridge.drivers.capabilities import capabilities_of
from firmware_bridge.drivers.lane import RelayLane, WantedRelays
from firmware_bridge.drivers.relay import Reading, RelayGate
from firmware_bridge.drivers.wiring import GpioWiring
from firmware_bridge.errors import BoardError, PortUnavailableError
from firmware_bridge.gate import GateInputs
from firmware_bridge.messages import DEBOUNCE_MS, LIFE_SAFETY_MS

POLL_MS = 10
"""Two readings while somebody quick breaks a beam."""

LIFE = ("fire", "emergency")
"""The kernel would wait until a contact that chatters is steady; two looks within LIFE_SAFETY_MS are
enough."""
LIFE_LOOKS = LIFE_SAFETY_MS // POLL_MS

CONSUMER = "stile-gate"

_BIAS = {"none": Bias.DISABLED, "up": Bias.PULL_UP, "down": Bias.PULL_DOWN}


class Lines(Protocol):
    """The lines of one request, as gpiod's LineRequest has them."""

    def get_values(self, lines: Iterable[int | str] | None = None) -> list[Value]:
        """Whether each line is active."""

    def set_values(self, values: dict[int | str, Value]) -> None:
        """Make lines active or not."""

    def release(self) -> None:
        """Give the lines back."""


Settings = dict[Iterable[int | str] | int | str, gpiod.LineSettings | None]
"""By line, as gpiod takes them."""

RequestLines = Callable[[str, Settings], Lines]
"""Chip and settings by line -> the lines; raises OSError."""


def _request_lines(chip: str, settings: Settings) -> Lines:
    return gpiod.request_lines(chip, settings, consumer=CONSUMER)


class GpioBoard:
    """The lines of one chip; asked for together, relays inactive from the first moment."""

    def __init__(self, wiring: GpioWiring, request_lines: RequestLines) -> None:
        self._wiring, self._request_lines = wiring, request_lines
        self._lines: Lines | None = None
        self._look = 0
        self._seen_at_look: dict[str, int] = {}

    async def connect(self) -> None:
        """Ask for the lines; whoever had them before must have given them back."""
        self.close()
        wiring = self._wiring
        relay = gpiod.LineSettings(
            direction=LineDirection.OUTPUT,
            active_low=wiring.relays_active_low,
            output_value=Value.INACTIVE,
        )
        sense = gpiod.LineSettings(
            direction=LineDirection.INPUT,
            active_low=wiring.inputs_active_low,
            bias=_BIAS[wiring.inputs_pull],
            debounce_period=timedelta(milliseconds=DEBOUNCE_MS),
        )
        settings: Settings = {}
        settings.update(dict.fromkeys(wiring.relays.values(), relay))
        settings.update(dict.fromkeys(wiring.inputs.values(), sense))
        at_once = gpiod.LineSettings(direction=sense.direction, active_low=sense.active_low, bias=sense.bias)
        settings.update({line: at_once for name, line in wiring.inputs.items() if name in LIFE})
        try:
            self._lines = self._request_lines(wiring.chip, settings)
        except FileNotFoundError as error:
            raise PortUnavailableError(wiring.chip, "not there; gpiodetect lists the chips") from error
        except OSError as error:
            why = f"{error.strerror or error}; gpioinfo says who holds its lines, and the group gpio may"
            raise PortUnavailableError(wiring.chip, why) from error

    async def command(self, wanted: WantedRelays) -> None:
        """All relays in one call; the chip keeps them as they are until the next one."""
        values: dict[int | str, Value] = {
            line: Value.ACTIVE if way in wanted.ways else Value.INACTIVE
            for way, line in self._wiring.relays.items()
        }
        try:
            self._requested().set_values(values)
        except OSError as error:
            raise self._fault(error) from error

    async def poll(self) -> Reading:
        """The inputs; a relay's own line says only what it was told."""
        wired = self._wiring.inputs
        if not wired:
            return Reading()
        try:
            values = self._requested().get_values(list(wired.values()))
        except OSError as error:
            raise self._fault(error) from error
        self._look += 1
        seen = dict(zip(wired, (value is Value.ACTIVE for value in values), strict=True))
        return Reading(GateInputs(**seen | {name: self._seen_twice(name) for name in LIFE if seen.get(name)}))

    def _seen_twice(self, name: str) -> bool:
        before = self._seen_at_look.get(name)
        self._seen_at_look[name] = self._look
        return before is not None and self._look - before <= LIFE_LOOKS

    def close(self) -> None:
        """Give the lines back; what they then are is the kernel's and the board's business."""
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.release()

    def _requested(self) -> Lines:
        if self._lines is None:
            raise BoardError(self._wiring.chip, "its lines were given back")
        return self._lines

    def _fault(self, error: OSError) -> PortUnavailableError:
        return PortUnavailableError(self._wiring.chip, f"gone while in use ({error.strerror or error})")


def open_gpio_gate(
    wiring: GpioWiring, *, clock_ms: Callable[[], int], request_lines: RequestLines = _request_lines
) -> RelayGate:
    """A gate on a chip's lines, inside a running loop; returns at once."""
    lane = RelayLane(frozenset(wiring.relays), beams=wiring.beams)
    board = GpioBoard(wiring, request_lines)
    return RelayGate(
        board, lane, capabilities_of("gpio", beams=wiring.beams), clock_ms=clock_ms, poll_ms=POLL_MS
    )
