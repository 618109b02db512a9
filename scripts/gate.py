"""`stile gate`: serve a simulated gate on a pseudo-terminal, and watch a gate's live state."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from firmware_bridge.auth import GATE_KEY_SIZE, GateKeys
from firmware_bridge.drivers.own import OwnGate, open_own_gate, read_keys
from firmware_bridge.errors import GateKeyError, PortUnavailableError
from firmware_bridge.gate import GateEvent, GateInputs, GateState, LinkLost, LinkUp
from firmware_bridge.messages import CHALLENGE_SIZE
from firmware_bridge.simulator import ServedGate, SimulatedGate
from scripts import gate_conform, gate_provision
from scripts.gate_header import HEADER, header_text
from scripts.output import EXIT_FAILED, EXIT_UNUSABLE, AsJson, fail, tell_json

app = typer.Typer(help="Gate controllers: simulate, watch, and check them.", no_args_is_help=True)

# Redrawing faster than this tells a technician nothing more.
REDRAW_S = 0.25
EVENTS_SHOWN = 12

KeyFile = Annotated[
    Path | None, typer.Option(help="File with the gate key, 64 hexadecimal digits (mode 600).")
]
GateId = Annotated[str, typer.Option(help="The gate id the keys are derived for.")]


def write_gate_key(path: Path) -> bytes:
    """A new random gate key in a new file of mode 600; never overwrites."""
    gate_key = secrets.token_bytes(GATE_KEY_SIZE)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(gate_key.hex() + "\n")
    return gate_key


def _keys(key_file: Path, gate_id: str) -> GateKeys:
    try:
        return read_keys(key_file, gate_id)
    except GateKeyError as error:
        fail(error, EXIT_UNUSABLE)


@contextmanager
def _served(gate: SimulatedGate, port: Path | None) -> Iterator[ServedGate]:
    try:
        with ServedGate(gate, port) as served:
            yield served
    except PortUnavailableError as error:
        fail(error, EXIT_UNUSABLE)


@app.command()
def simulate(
    key_file: KeyFile = None,
    gate_id: GateId = "gate-1",
    port: Annotated[Path | None, typer.Option(help="Where to put the port's name; else a new one.")] = None,
    fail_open: Annotated[bool, typer.Option(help="Set the jumper to fail open instead of closed.")] = False,
    auto_walk_ms: Annotated[
        int | None, typer.Option(min=0, max=60_000, help="Walk a person through so long after each release.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve a simulated gate controller on a pseudo-terminal until interrupted."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with tempfile.TemporaryDirectory(prefix="stile-gate-key-") as folder:
        if key_file is None:
            key_file = Path(folder) / "gate.key"
            write_gate_key(key_file)
        gate = SimulatedGate(_keys(key_file, gate_id), fail_open=fail_open, auto_walk_ms=auto_walk_ms)
        with _served(gate, port) as served:
            if as_json:
                tell_json({"port": str(served.path), "gate_id": gate_id, "key_file": str(key_file)})
            else:
                typer.echo(f"simulated gate on {served.path} (gate id {gate_id}, key file {key_file})")
                typer.echo(
                    f"watch it with: stile gate console {served.path} "
                    f"--key-file {key_file} --gate-id {gate_id}"
                )
            # Woken often enough to notice a server that died, which must not look like a quiet gate.
            while not stopped.wait(1.0) and served.failure is None:
                pass
            if served.failure is not None:
                typer.echo(f"error: the simulated gate stopped: {served.failure}", err=True)
                raise typer.Exit(EXIT_FAILED)


@app.command()
def conform(
    target: Annotated[
        str, typer.Option(help="simulator, host, simavr, or the serial port of a real controller.")
    ] = "simulator",
    key_file: KeyFile = None,
    gate_id: GateId = "gate-1",
    only: Annotated[str | None, typer.Option(help="Only the scenario of this name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run PROTOCOL.md's conformance scenarios; a real controller's pins are out of reach, so only some there.

    A real controller, whose key file and id are needed, opens its gate meanwhile: nobody may stand in it.
    """
    keys = None if key_file is None else _keys(key_file, gate_id)
    gate_conform.conform(target, keys, only, as_json=as_json)


@app.command()
def provision(
    port: Annotated[str, typer.Argument(help="The controller's own port, best as /dev/serial/by-id/…")],
    key_file: Annotated[Path, typer.Option(help="File with the gate key, 64 hexadecimal digits.")],
    gate_id: GateId = "gate-1",
    as_json: AsJson = False,
) -> None:
    """Bring a gate's keys into its controller, at the open enclosure with the provisioning jumper fitted.

    Nothing else may use the port meanwhile. The keys count from the controller's next start.
    """
    gate_provision.provision(port, gate_id, _keys(key_file, gate_id), as_json=as_json)


@app.command()
def header() -> None:
    """Write the firmware's gate_protocol.h anew from the protocol's table."""
    HEADER.write_text(header_text())
    typer.echo(str(HEADER))


@app.command()
def console(
    port: Annotated[str, typer.Argument(help="The gate's serial port, best as /dev/serial/by-id/…")],
    key_file: Annotated[Path, typer.Option(help="File with the gate key, 64 hexadecimal digits.")],
    gate_id: GateId = "gate-1",
    for_s: Annotated[float | None, typer.Option(min=0.1, help="Stop after so long; else on Ctrl-C.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a gate's live state, inputs, faults and ignored frames; sends only greetings and heartbeats.

    Its heartbeats take a controller out of its safe state, and it alone may use the port meanwhile.
    """
    try:
        state, seen = asyncio.run(_watch(port, _keys(key_file, gate_id), for_s, quiet=as_json))
    except KeyboardInterrupt:
        return
    if as_json:
        tell_json(_summary(state, seen))


async def _watch(
    port: str, keys: GateKeys, for_s: float | None, *, quiet: bool
) -> tuple[GateState, list[GateEvent]]:
    gate = open_own_gate(
        port,
        keys,
        clock_ms=lambda: time.monotonic_ns() // 1_000_000,
        draw_challenge=lambda: os.urandom(CHALLENGE_SIZE),
    )
    seen: list[GateEvent] = []
    watching = asyncio.create_task(_collect(gate, seen))
    end_s = None if for_s is None else time.monotonic() + for_s
    try:
        with Live(console=Console(stderr=True, quiet=quiet), auto_refresh=False) as live:
            while end_s is None or time.monotonic() < end_s:
                live.update(_picture(port, gate.state(), seen), refresh=True)
                await asyncio.sleep(REDRAW_S)
        return gate.state(), seen
    finally:
        watching.cancel()
        await gate.close()


async def _collect(gate: OwnGate, seen: list[GateEvent]) -> None:
    # Alarms stay for the kiosk: asking for an event acknowledges the one before, so a watcher takes only
    # news of the link, and leaves the gate's first real event unacknowledged.
    async for event in gate.events():
        seen.append(event)
        if not isinstance(event, LinkUp | LinkLost):
            await asyncio.Event().wait()


def _picture(port: str, state: GateState, seen: list[GateEvent]) -> Table:
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
    return table


def _active(inputs: GateInputs | None) -> list[str]:
    if inputs is None:
        return []
    return [name for name in GateInputs.__slots__ if getattr(inputs, name)]


def _summary(state: GateState, seen: list[GateEvent]) -> dict[str, object]:
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
