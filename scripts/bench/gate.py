"""How long a release takes from the kiosk to the controller's word: real driver, real pseudo-terminal.

The firmware is the C code, built for this machine and, where simavr is, for the ATmega328P. Simavr keeps to
real time, and takes as long for the line's bytes and the MAC as the part does.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from firmware_bridge.auth import GATE_KEY_SIZE, GateKeys, derive_keys
from firmware_bridge.conformance.build import BuildError, build_avr, build_host, build_simavr
from firmware_bridge.conformance.served import ServedFirmware
from firmware_bridge.gate import Accepted, Direction, Gate, GateRelease, LinkUp, Nonce, PassageId, Passed
from firmware_bridge.messages import Inputs
from scripts.bench.laps import Spread
from scripts.cli.gate.app import open_gate

RELEASES: Final = 40
"""At eight a second, five seconds a build."""
NOT_AFTER_MS: Final = 1_000
"""Short enough that the controller's 32 nonces are forgotten faster than they are used."""
OPEN_MS: Final = 3_000
BEAM_S: Final = 0.02
"""How long a beam is broken: twice the time that the controller takes to believe it."""
ANSWER_MAX_S: Final = 10.0

Built = Mapping[str, Any]


def measure_gate() -> dict[str, Built]:
    """Release to acknowledgement with each build, as a spread, or `{"missing": why}`."""
    with tempfile.TemporaryDirectory(prefix="stile-bench-gate-") as name:
        folder = Path(name)

        def host() -> tuple[Path, dict[str, str]]:
            return build_host(folder), {}

        def simavr() -> tuple[Path, dict[str, str]]:
            return build_simavr(folder), {"GATE_FIRMWARE": str(build_avr(folder))}

        return {"host": _measured(host), "simavr": _measured(simavr)}


def measured_only(report: Mapping[str, Built]) -> Iterator[tuple[str, Built]]:
    """The rows of a table: builds that could be measured here."""
    return ((f"gate, {build}", spread) for build, spread in report.items() if "missing" not in spread)


def _measured(build: Callable[[], tuple[Path, dict[str, str]]]) -> Built:
    keys = derive_keys(secrets.token_bytes(GATE_KEY_SIZE), "bench")
    try:
        program, environment = build()
        with ServedFirmware(keys, program=program, environment=environment) as served:
            return Spread.of(asyncio.run(_laps(served, keys))).as_json()
    except BuildError as error:
        return {"missing": str(error)}


async def _laps(served: ServedFirmware, keys: GateKeys) -> list[float]:
    gate = open_gate(str(served.path), keys)
    events = gate.events()
    laps_ms = []
    try:
        async with asyncio.timeout(ANSWER_MAX_S):
            while not isinstance(await anext(events), LinkUp):
                pass
        for _ in range(RELEASES):
            laps_ms.append(await _release(gate))
            await asyncio.to_thread(_walk, served)
            async with asyncio.timeout(ANSWER_MAX_S):
                while not isinstance(await anext(events), Passed):
                    pass
    finally:
        await gate.close()
    return laps_ms


async def _release(gate: Gate) -> float:
    now_ms = time.monotonic_ns() // 1_000_000
    passage, nonce = PassageId(secrets.token_bytes(16)), Nonce(secrets.token_bytes(8))
    release = GateRelease(passage, nonce, Direction.ENTRY, now_ms + NOT_AFTER_MS, OPEN_MS)
    started_s = time.perf_counter()
    outcome = await gate.release(release)
    took_ms = (time.perf_counter() - started_s) * 1_000
    if outcome != Accepted():
        raise BuildError(f"the firmware did not obey a release: {outcome}")
    return took_ms


def _walk(served: ServedFirmware) -> None:
    for on, off in (
        (Inputs.BEAM_A, Inputs(0)),
        (Inputs.BEAM_B, Inputs(0)),
        (Inputs(0), Inputs.BEAM_A),
        (Inputs(0), Inputs.BEAM_B),
    ):
        served.set_inputs(on, off)
        time.sleep(BEAM_S)
