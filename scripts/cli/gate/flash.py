"""`stile gate flash`: writes the firmware into an ATmega328P with avrdude. Never run on hardware."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import typer

from firmware_bridge.conformance.build import BuildError, avr_size, build_avr
from scripts.output import EXIT_FAILED, EXIT_UNUSABLE, fail, tell_json

NEVER_RUN: Final = "never run on hardware: see that the gate conforms before anybody uses it"

PART: Final = "m328p"

FUSES: Final = (("lfuse", 0xFF), ("hfuse", 0xD1), ("efuse", 0xFC))
"""ATmega328P data sheet, 27.2: a 16 MHz crystal with the longest start-up; no bootloader, SPI programming
on, EEPROM (boot id, keys) kept at chip erase; brown-out detector at 4.3 V."""

FLASH_MAX_S: Final = 120
"""Writing and reading back 32 KB takes half a minute with the slowest of programmers."""


def flash(programmer: str, port: str | None, *, fuses: bool, as_json: bool) -> None:
    """Build, write and read back; exits 2 where a program is missing, 1 where avrdude fails."""
    try:
        with tempfile.TemporaryDirectory(prefix="stile-gate-flash-") as folder:
            avrdude = _avrdude()
            firmware = build_avr(Path(folder))
            size = avr_size(firmware)["flash"]
            typer.echo(f"writing {size} bytes by {programmer}; {NEVER_RUN}", err=True)
            words = command(avrdude, programmer, port, firmware, fuses=fuses)
            written = subprocess.run(words, stdin=subprocess.DEVNULL, timeout=FLASH_MAX_S, check=False)
    except BuildError as error:
        fail(error, EXIT_UNUSABLE)
    except subprocess.TimeoutExpired:
        fail(BuildError(f"avrdude did not finish in {FLASH_MAX_S} s: see its cable"), EXIT_FAILED)
    if written.returncode != 0:
        why = f"avrdude failed with code {written.returncode}, as it says above: see programmer and cable"
        fail(
            BuildError(f"{why}; the controller may be without firmware, and its gate does not open"),
            EXIT_FAILED,
        )
    if as_json:
        tell_json({"programmer": programmer, "part": PART, "flash_bytes": size, "fuses": fuses})
    typer.echo(f"written and read back; {NEVER_RUN}: stile gate provision, then stile gate conform", err=True)


def command(avrdude: str, programmer: str, port: str | None, firmware: Path, *, fuses: bool) -> list[str]:
    """What is run: avrdude reads back what it wrote by itself."""
    where = [] if port is None else ["-P", port]
    bits = [word for name, value in FUSES for word in ("-U", f"{name}:w:{value:#04x}:m")] if fuses else []
    return [avrdude, "-p", PART, "-c", programmer, *where, *bits, "-U", f"flash:w:{firmware}:e"]


def _avrdude() -> str:
    found = shutil.which("avrdude")
    if found is None:
        raise BuildError("avrdude is missing: sudo apt install avrdude")
    return found
