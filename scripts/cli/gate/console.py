"""`stile gate console`: a gate's live state in the terminal; of a simulated one its inputs can be changed."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table

from firmware_bridge.gate import Gate, GateEvent, GateInputs, GateStatus, LinkLost, LinkStatus, LinkUp
from scripts.cli.gate.inject import InjectionError, can_inject, inject

REDRAW_S: Final = 0.25
"""Redrawing faster than this tells a technician nothing more."""
EVENTS_SHOWN: Final = 12

ORDERS: Final = {
    "w": "walk entry",
    "x": "walk exit",
    "g": "tailgate entry",
    "r": "restart",
}
"""What each key orders; an input is changed to its opposite."""
INPUTS: Final = {"f": "fire", "e": "emergency", "q": "request_to_exit", "t": "tamper", "d": "door_open"}


class Watcher:
    """One console: what it has seen, and what was ordered."""

    def __init__(self, gate: Gate, port: str) -> None:
        self._gate, self._port = gate, port
        self._seen: list[GateEvent] = []
        self._last = ""

    async def run(
        self, orders: Sequence[str], for_s: float | None, console: Console
    ) -> tuple[GateStatus, list[GateEvent]]:
        """Show it for so long, or until cancelled. Orders are given once the gate answers.

        Raises InjectionError for an order that could not be given.
        """
        watching = asyncio.create_task(self._collect())
        waiting = list(orders)
        end_s = None if for_s is None else time.monotonic() + for_s
        try:
            with _keys(self._press), Live(console=console, auto_refresh=False) as live:
                while end_s is None or time.monotonic() < end_s:
                    state = self._gate.state()
                    if waiting and state.link is LinkStatus.UP:
                        await asyncio.to_thread(inject, self._port, waiting.pop(0))
                    live.update(_picture(self._port, state, self._seen, self._last), refresh=True)
                    await asyncio.sleep(REDRAW_S)
            if waiting:
                raise InjectionError(f"the gate never answered, so this was not done: {', '.join(waiting)}")
            return self._gate.state(), self._seen
        finally:
            watching.cancel()

    async def _collect(self) -> None:
        # Alarms stay for the kiosk: asking for an event acknowledges the one before, so a watcher takes only
        # news of the link, and leaves the gate's first real event unacknowledged.
        async for event in self._gate.events():
            self._seen.append(event)
            if not isinstance(event, LinkUp | LinkLost):
                await asyncio.Event().wait()

    def _press(self, key: str) -> None:
        order = ORDERS.get(key)
        if name := INPUTS.get(key):
            inputs = self._gate.state().inputs
            order = f"{'off' if inputs is not None and getattr(inputs, name) else 'on'} {name}"
        if order is None or not can_inject(self._port):
            return
        try:
            inject(self._port, order)
            self._last = order
        except InjectionError as error:
            self._last = str(error)


def summary(state: GateStatus, seen: Sequence[GateEvent]) -> dict[str, object]:
    """What `--json` prints."""
    return {
        "link": state.link,
        "trouble": state.trouble,
        "boot_id": state.boot_id,
        "uptime_ms": state.uptime_ms,
        "state": None if state.mode is None else state.mode.name.lower(),
        "fault": None if state.fault is None else state.fault.name.lower(),
        "inputs": _active(state.inputs),
        "entry_unlocked": state.entry_unlocked,
        "exit_unlocked": state.exit_unlocked,
        "ignored": state.ignored,
        "events": [type(event).__name__ for event in seen],
    }


@contextmanager
def _keys(pressed: Callable[[str], None]) -> Iterator[None]:
    """Each key at once, where standard input is a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    loop = asyncio.get_running_loop()
    tty.setcbreak(terminal)
    loop.add_reader(terminal, lambda: pressed(os.read(terminal, 1).decode(errors="replace")))
    try:
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _picture(port: str, state: GateStatus, seen: Sequence[GateEvent], last: str) -> Table:
    table = Table(title=f"gate on {port}", show_header=False)
    link = str(state.link) if state.trouble is None else f"{state.link}: {state.trouble}"
    table.add_row("link", link)
    table.add_row("boot, uptime", f"{state.boot_id}, {(state.uptime_ms or 0) / 1_000:.1f} s")
    table.add_row("state", "unknown" if state.mode is None else state.mode.name.lower())
    table.add_row("fault", "unknown" if state.fault is None else state.fault.name.lower())
    ways = {"entry": state.entry_unlocked, "exit": state.exit_unlocked}
    table.add_row("unlocked", ", ".join(way for way, unlocked in ways.items() if unlocked) or "-")
    table.add_row("inputs", ", ".join(_active(state.inputs)) or "-")
    counts = (f"{name} {count}" for name, count in state.ignored.items() if count)
    table.add_row("ignored frames", ", ".join(counts) or "none")
    table.add_row("events", "\n".join(str(event) for event in seen[-EVENTS_SHOWN:]) or "-")
    if can_inject(port):
        keys = {**ORDERS, **{key: f"{name} on, off" for key, name in INPUTS.items()}}
        table.add_row("keys", ", ".join(f"{key} {order}" for key, order in keys.items()))
        table.add_row("ordered", last or "-")
    return table


def _active(inputs: GateInputs | None) -> list[str]:
    if inputs is None:
        return []
    return [name for name in GateInputs.__slots__ if getattr(inputs, name)]
