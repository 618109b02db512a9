"""Builds the gate's firmware: for this machine, for the ATmega328P, and with simavr around it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from firmware_bridge.conformance.header import FIRMWARE

HOST_BOARD: Final = FIRMWARE / "boards" / "host"
AVR_BOARD: Final = FIRMWARE / "boards" / "atmega328p"
SIMAVR_BOARD: Final = FIRMWARE.parent.parent / "tests" / "firmware" / "simavr_board.c"
"""The runner links GPL-3 code: a test tool, which the installed product does not have."""

WARNINGS: Final = ("-Wall", "-Wextra", "-Wshadow", "-Werror")
STRICT: Final = (*WARNINGS, "-Wconversion", "-Wpedantic")
SANITIZERS: Final = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")

HOST_COMPILERS: Final = ("gcc", "clang", "cc")
"""Of the host's own compilers the first that is there."""

AVR_CLOCK_HZ: Final = 16_000_000

BUILD_MAX_S: Final = 120
"""A build takes a second or two; a compiler that hangs must not take the caller with it."""


class BuildError(Exception):
    """Firmware that cannot be built here; the message says what to install or shows the compiler's words."""


def portable_sources() -> list[Path]:
    """What every board shares."""
    return sorted(FIRMWARE.glob("*.c"))


def host_compiler() -> str | None:
    """The C compiler of this machine, if it has one."""
    return next((found for name in HOST_COMPILERS if (found := shutil.which(name))), None)


def build_host(folder: Path, *, sanitized: bool = False, gate_source: Path | None = None) -> Path:
    """The host build in `folder`; `gate_source` stands in for gate.c. Raises BuildError."""
    compiler = host_compiler()
    if compiler is None:
        raise BuildError("no C compiler: install gcc (sudo apt install gcc libc6-dev), or use the simulator")
    sources = [gate_source if gate_source and path.name == "gate.c" else path for path in portable_sources()]
    program = folder / ("gate-sanitized" if sanitized else "gate")
    flags = [*STRICT, *SANITIZERS, "-g"] if sanitized else list(STRICT)
    optimising = "-O0" if gate_source else "-O1"
    _run([compiler, "-std=c99", "-D_XOPEN_SOURCE=700", optimising, *flags, f"-I{FIRMWARE}", f"-I{HOST_BOARD}",
          "-o", str(program), *map(str, [*sources, *sorted(HOST_BOARD.glob("*.c"))])])  # fmt: skip
    return program


def build_avr(folder: Path) -> Path:
    """The ATmega328P's firmware, an ELF file in `folder`. Raises BuildError."""
    compiler = _needed("avr-gcc", "gcc-avr avr-libc")
    program = folder / "gate-atmega328p.elf"
    _run([compiler, "-std=c99", "-mmcu=atmega328p", f"-DF_CPU={AVR_CLOCK_HZ}UL", "-Os", "-flto", *WARNINGS,
          "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", f"-I{FIRMWARE}", "-o", str(program),
          *map(str, [*portable_sources(), *sorted(AVR_BOARD.glob("*.c"))])])  # fmt: skip
    return program


def build_simavr(folder: Path) -> Path:
    """Simavr as a host board, a program in `folder` that runs GATE_FIRMWARE. Raises BuildError."""
    compiler = _needed("gcc", "gcc")
    if not SIMAVR_BOARD.exists():
        raise BuildError("the simavr runner is in Stile's source tree only: run this from a checkout")
    if not Path("/usr/include/simavr/sim_avr.h").exists():
        raise BuildError("simavr is missing: sudo apt install simavr libsimavr-dev libelf-dev")
    program = folder / "gate-simavr"
    shared = [HOST_BOARD / name for name in ("stepped.c", "served.c", "main.c", "queue.c")]
    flags = [*WARNINGS, "-I/usr/include/simavr", f"-I{FIRMWARE}"]
    libraries = ["-l:libsimavr.a", "-lelf", "-lpthread"]
    _run([compiler, "-std=gnu11", "-O2", *flags, "-o", str(program), *map(str, [SIMAVR_BOARD, *shared]),
          *libraries])  # fmt: skip
    return program


def avr_size(elf: Path) -> dict[str, int]:
    """Bytes of flash and of static RAM that an AVR build takes."""
    told = _run([_needed("avr-size", "binutils-avr"), str(elf)])
    text, data, bss, *_ = (int(word) for word in told.splitlines()[1].split()[:3])
    return {"flash": text + data, "ram": data + bss}


def _needed(program: str, packages: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise BuildError(f"{program} is missing: sudo apt install {packages}")
    return found


def _run(words: list[str]) -> str:
    try:
        ran = subprocess.run(words, capture_output=True, text=True, timeout=BUILD_MAX_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{Path(words[0]).name} did not finish in {BUILD_MAX_S} s") from error
    if ran.returncode != 0:
        raise BuildError(f"{Path(words[0]).name} failed:\n{ran.stderr.strip()}")
    return ran.stdout
