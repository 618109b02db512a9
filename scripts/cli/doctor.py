"""`stile doctor`: what this machine and this kiosk lack, and what to do about each."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge.config import KioskConfig, read_config
from edge.errors import StileError
from edge.modes.probes import running_kiosk
from scripts.output import EXIT_FAILED, EXIT_UNUSABLE, AsJson, date_of, fail, tell_json
from wire.environment import timesync_marker

FREE_MIN_MB = 500
"""Room for a day of records and a snapshot of a large site, with some to spare."""
CONNECT_WITHIN_S = 3.0
GATE_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `remedy` says what to do, and is empty when it is well."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def main(
    config: Annotated[
        Path | None, typer.Option(help="A kiosk's configuration; without one the machine only.")
    ] = None,
    central: Annotated[Path | None, typer.Option(help="Central's configuration, where it runs here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Look at pack, broker, gate, camera, disk and clock; say what to do. Exits 1 if anything is wrong."""
    try:
        kiosk = read_config(config) if config is not None else None
    except StileError as error:
        fail(error, EXIT_UNUSABLE)
    findings = [*examine(kiosk), *(() if central is None else _authority(central))]
    # No markup: what stands in brackets is a section of the configuration.
    _show(findings, Console(stderr=as_json, markup=False))
    fine = all(finding.ok for finding in findings)
    if as_json:
        tell_json({"ok": fine, "findings": [asdict(each) for each in findings]})
    if not fine:
        raise typer.Exit(EXIT_FAILED)


def examine(kiosk: KioskConfig | None) -> Iterator[Finding]:
    """Every finding, in the order in which they should be put right."""
    yield _python()
    yield _pack(kiosk)
    yield _disk(kiosk)
    yield _clock()
    yield _broker(kiosk)
    running = None if kiosk is None else running_kiosk(kiosk)
    if kiosk is None or kiosk.kiosk.mode == "turnstile":
        yield _serial(kiosk) if running is None else _in_use("gate", running)
    if kiosk is not None:
        yield _camera(kiosk) if running is None or kiosk.camera.in_browser else _in_use("camera", running)
    if kiosk is not None and kiosk.kiosk.mode == "enrol":
        yield _consent(kiosk)


def _authority(config: Path) -> Iterator[Finding]:
    """Where the operator's root is, and until when what it certified for central lasts."""
    from central.app import load_config, open_use_cases, state_fields
    from central.errors import CentralError

    try:
        with open_use_cases(load_config(config)) as use_cases:
            told = state_fields(use_cases)
    except CentralError as error:
        yield Finding("root", False, str(error), "put back the file, or see central/README.md")
        return
    offline = told["root"] == "offline"
    remedy = "" if offline else "for a site, set up central with --root FILE and pair its kiosks with that"
    yield Finding("root", offline, told["root"], remedy)
    until, due = date_of(told["certified_until_ms"]), told["certificates_due"]
    renew = "have the root sign central.request.json again: `stile central root sign`"
    yield Finding("certificates", not due, f"central's last until {until}", renew if due else "")


def _show(findings: list[Finding], console: Console) -> None:
    table = Table(show_header=False, box=None)
    for each in findings:
        table.add_row(Text("well") if each.ok else Text("look", "red"), each.name, each.found, each.remedy)
    console.print(table)


def _python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    fits = (3, 11) <= sys.version_info < (3, 15)
    return Finding("python", fits, found, "" if fits else "use Python 3.11 to 3.14")


def _consent(kiosk: KioskConfig) -> Finding:
    from edge.adapters.storage.consents import read_consents
    from edge.enact.enrolling import EnrolConfig

    section = kiosk.enrol or EnrolConfig()
    remedy = "write the consent texts of your own, and name their folder in enrol.consent_dir"
    try:
        consents = read_consents(section.consent_dir)
    except StileError as error:
        return Finding("consent", False, str(error), remedy)
    if consents.is_example:
        return Finding("consent", False, "the shipped example, which is nobody's consent", remedy)
    return Finding("consent", True, f"version {consents.version} in {', '.join(sorted(consents.texts))}")


def _pack(kiosk: KioskConfig | None) -> Finding:
    from models.errors import ModelsError
    from models.registry import open_pack

    try:
        pack = open_pack(None if kiosk is None else kiosk.pack.folder)
    except ModelsError as error:
        return Finding("pack", False, str(error), "install Stile again, or name another pack under [pack]")
    return Finding(
        "pack", True, f"{pack.manifest.name} {pack.manifest.version}, every file as its manifest says"
    )


def _disk(kiosk: KioskConfig | None) -> Finding:
    folder = Path(kiosk.kiosk.state_dir) if kiosk is not None else Path()
    there = folder if folder.exists() else folder.parent
    try:
        free_mb = shutil.disk_usage(there).free // 2**20
    except OSError as error:
        return Finding(
            "disk", False, f"{folder}: {error.strerror}", "make the folder, or change kiosk.state_dir"
        )
    if not os.access(there, os.W_OK):
        return Finding("disk", False, f"{there} is read-only", "give this user the right to write there")
    found = f"{free_mb} MB free at {there}"
    if free_mb < FREE_MIN_MB:
        return Finding("disk", False, found, f"free at least {FREE_MIN_MB} MB: records must never be lost")
    return Finding("disk", True, found)


def _clock() -> Finding:
    if timesync_marker() is not None:
        return Finding("clock", True, "set by NTP since boot")
    # A kiosk also takes the time from central's signed heads, so this is no fault by itself.
    return Finding("clock", True, "no NTP since boot: unsure until central is heard")


def _broker(kiosk: KioskConfig | None) -> Finding:
    if kiosk is None:
        from central.app import EmbeddedBroker

        broker = EmbeddedBroker(0)
        try:
            address = broker.start()
        except OSError as error:
            return Finding("broker", False, str(error), "the demo's broker cannot start: is a port free?")
        finally:
            broker.stop()
        return Finding("broker", True, f"the embedded one starts on {address.host}")
    from edge.modes.probes import broker_of, probe_broker

    try:
        host, port = broker_of(kiosk)
    except StileError as error:
        return Finding("broker", False, str(error), "pair this kiosk: stile kiosk pair URL")
    try:
        trouble = asyncio.run(probe_broker(kiosk, CONNECT_WITHIN_S))
    except StileError as error:
        return Finding("broker", False, str(error), "see [broker] and the files of this kiosk")
    except (OSError, TimeoutError) as error:
        said = f"{host}:{port} does not answer ({str(error) or 'no answer in time'})"
        return Finding("broker", False, said, "start it, or correct [broker]; the kiosk goes on without it")
    if trouble:
        return Finding("broker", False, f"{host}:{port}: {trouble}", "the kiosk goes on without it")
    return Finding("broker", True, f"{host}:{port} answers")


def _in_use(name: str, process: str) -> Finding:
    return Finding(name, True, f"in use by this kiosk, which runs as process {process}; its state says more")


def _serial(kiosk: KioskConfig | None) -> Finding:
    if kiosk is None:
        from serial.tools.list_ports import comports

        from firmware_bridge.port import stable_name

        ports = [stable_name(port.device) or port.device for port in comports()]
        return Finding("serial", True, ", ".join(ports) or "no serial port: the demo simulates one")
    from edge.modes.probes import probe_gate
    from firmware_bridge.port import stable_name

    try:
        trouble = asyncio.run(probe_gate(kiosk, GATE_WITHIN_S))
    except StileError as error:
        return Finding("gate", False, str(error), "give the controller's key file under [gate]")
    if trouble:
        return Finding("gate", False, trouble, "see the serial port under [gate], and the controller's power")
    gate = kiosk.turnstile_gate
    found = f"{gate.id} answers on {gate.wiring.port}"
    if gate.port and (name := stable_name(gate.port)):
        return Finding(
            "gate", True, found, f'better gate.port = "{name}": it stays the same after re-plugging'
        )
    return Finding("gate", True, found)


def _camera(kiosk: KioskConfig) -> Finding:
    from edge.errors import CameraError
    from edge.modes.probes import probe_camera

    if kiosk.camera.in_browser:
        host = f"[{kiosk.screen.host}]" if ":" in kiosk.screen.host else kiosk.screen.host
        page = f"http://{host}:{kiosk.screen.port}/" if kiosk.screen.port else "the page that the kiosk names"
        found = f"the browser's: open {page} on this machine while the kiosk runs"
        return Finding("camera", True, found, "allow it when asked, and keep the page in sight")
    try:
        state = asyncio.run(probe_camera(kiosk))
    except CameraError as error:
        return Finding("camera", False, str(error), "see [camera] device, and the cable")
    fine = state == "ok"
    return Finding("camera", fine, state, "" if fine else "see that the lens is uncovered and the cable sits")
