"""`stile gate`: serve a simulated gate on a pseudo-terminal, and watch a gate's live state."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from firmware_bridge.auth import GATE_KEY_SIZE, GateKeys
from firmware_bridge.conformance.build import BuildError
from firmware_bridge.conformance.header import HEADER, header_text
from firmware_bridge.drivers.own import open_own_gate, read_keys
from firmware_bridge.errors import GateKeyError, PortUnavailableError
from firmware_bridge.gate import Gate, GateEvent, GateStatus
from firmware_bridge.messages import CHALLENGE_SIZE
from scripts.cli.gate import conform as gate_conform
from scripts.cli.gate import flash as gate_flash
from scripts.cli.gate import provision as gate_provision
from scripts.cli.gate.console import Watcher, summary
from scripts.cli.gate.inject import GRAMMAR, Controls, InjectionError, can_inject
from scripts.cli.gate.stand import Runs, Stand, open_stand
from scripts.output import EXIT_FAILED, EXIT_UNUSABLE, AsJson, fail, tell_json

app = typer.Typer(help="Gate controllers: simulate, watch, and check them.", no_args_is_help=True)

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


@app.command()
def simulate(
    *,
    key_file: KeyFile = None,
    gate_id: GateId = "gate-1",
    port: Annotated[Path | None, typer.Option(help="Where to put the port's name; else a new one.")] = None,
    fail_open: Annotated[bool, typer.Option(help="Set the jumper to fail open instead of closed.")] = False,
    auto_walk_ms: Annotated[
        int | None, typer.Option(min=0, max=60_000, help="Walk a person through so long after each release.")
    ] = None,
    firmware: Annotated[
        bool | None,
        typer.Option(
            "--firmware/--simulator",
            help="The C firmware, or the Python simulator; else the firmware where a compiler is there.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve a gate controller on a pseudo-terminal until interrupted, and say what it runs on."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    runs = None if firmware is None else Runs.FIRMWARE if firmware else Runs.SIMULATOR
    with tempfile.TemporaryDirectory(prefix="stile-gate-key-") as folder:
        if key_file is None:
            key_file = Path(folder) / "gate.key"
            write_gate_key(key_file)
        keys = _keys(key_file, gate_id)
        try:
            with (
                open_stand(keys, port, runs=runs, fail_open=fail_open, auto_walk_ms=auto_walk_ms) as opened,
                Controls(opened[0]),
            ):
                _tell_stand(*opened, gate_id=gate_id, key_file=key_file, as_json=as_json)
                # Woken often enough to notice a gate that died, which must not look like a quiet one.
                while not stopped.wait(1.0) and opened[0].failure is None:
                    pass
                if opened[0].failure is not None:
                    typer.echo(f"error: the simulated gate stopped: {opened[0].failure}", err=True)
                    raise typer.Exit(EXIT_FAILED)
        except (PortUnavailableError, BuildError) as error:
            fail(error, EXIT_UNUSABLE)


def _tell_stand(
    stand: Stand, runs: Runs, why: str | None, *, gate_id: str, key_file: Path, as_json: bool
) -> None:
    if as_json:
        told = {"port": str(stand.path), "gate_id": gate_id, "key_file": str(key_file)}
        tell_json({**told, "runs": runs.name.lower()})
        return
    because = "" if why is None else f", because {why}"
    typer.echo(f"gate on {stand.path} (gate id {gate_id}, key file {key_file})")
    typer.echo(f"it is {runs}{because}")
    typer.echo(f"watch it with: stile gate console {stand.path} --key-file {key_file} --gate-id {gate_id}")


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
def flash(
    programmer: Annotated[str, typer.Option(help="As avrdude calls it: usbasp, avrisp2, stk500v1, …")],
    port: Annotated[str | None, typer.Option(help="The programmer's own port, if it has one.")] = None,
    fuses: Annotated[bool, typer.Option(help="Write the fuses too: once, on a new controller.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build the firmware and write it into an ATmega328P by a programmer and avrdude. Never run on hardware.

    The gate is in no state at all meanwhile: its pins float. Nobody may stand in it.
    """
    gate_flash.flash(programmer, port, fuses=fuses, as_json=as_json)


@app.command()
def header() -> None:
    """Write the firmware's gate_protocol.h anew from the protocol's table."""
    HEADER.write_text(header_text())
    typer.echo(str(HEADER))


@app.command()
def console(
    *,
    port: Annotated[str, typer.Argument(help="The gate's serial port, best as /dev/serial/by-id/…")],
    key_file: Annotated[Path, typer.Option(help="File with the gate key, 64 hexadecimal digits.")],
    gate_id: GateId = "gate-1",
    for_s: Annotated[float | None, typer.Option(min=0.1, help="Stop after so long; else on Ctrl-C.")] = None,
    orders: Annotated[
        list[str] | None,
        typer.Option("--inject", help=f"To a simulated gate only, once it answers: {GRAMMAR}."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a gate's live state, inputs, faults and ignored frames; sends only greetings and heartbeats.

    Its heartbeats take a controller out of its safe state, and it alone may use the port meanwhile. On a gate
    that `stile gate simulate` serves, keys or --inject change inputs and send people through.
    """
    given = orders or []
    if given and not can_inject(port):
        fail(InjectionError.no_orders_on(port), EXIT_UNUSABLE)
    try:
        state, seen = asyncio.run(_watch(port, _keys(key_file, gate_id), given, for_s, quiet=as_json))
    except InjectionError as error:
        fail(error, EXIT_FAILED)
    except KeyboardInterrupt:
        return
    if as_json:
        tell_json(summary(state, seen))


async def _watch(
    port: str, keys: GateKeys, orders: list[str], for_s: float | None, *, quiet: bool
) -> tuple[GateStatus, list[GateEvent]]:
    gate = open_gate(port, keys)
    try:
        return await Watcher(gate, port).run(orders, for_s, Console(stderr=True, quiet=quiet))
    finally:
        await gate.close()


def open_gate(port: str, keys: GateKeys) -> Gate:
    """Stile's own controller on a port, by this machine's clock and dice; inside a running loop."""
    return open_own_gate(
        port,
        keys,
        clock_ms=lambda: time.monotonic_ns() // 1_000_000,
        draw_challenge=lambda: os.urandom(CHALLENGE_SIZE),
    )
