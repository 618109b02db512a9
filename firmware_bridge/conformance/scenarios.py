"""The scenarios of PROTOCOL.md 11: read from its table, and run step by step on a rig."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import firmware_bridge
from firmware_bridge.conformance.rig import ConformanceRig, StepError
from firmware_bridge.conformance.steps import VERBS, WIRED, number_of

PROTOCOL: Final = Path(firmware_bridge.__file__).parent / "PROTOCOL.md"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of PROTOCOL.md 11."""

    name: str
    proves: tuple[str, ...]
    steps: tuple[str, ...]

    @property
    def needs_wires(self) -> bool:
        """Whether it cannot be run on a controller whose pins are out of reach."""
        return any(words[0] in WIRED or words[0].isdigit() for words in map(str.split, self.steps))

    @property
    def least_ms(self) -> int:
        """How much time its waits alone take."""
        return sum(number_of(words[1]) for words in map(str.split, self.steps) if words[0] == "wait")


def read_scenarios(protocol: Path = PROTOCOL) -> tuple[Scenario, ...]:
    """Every scenario of PROTOCOL.md, in its order."""
    section = protocol.read_text().split("\n## 11.")[1].split("\n## ")[0]
    table = section.split("| scenario | proves | steps |")[1]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (.+) \|$", table, re.MULTILINE)
    return tuple(
        Scenario(name, tuple(proves.split("; ")), tuple(steps.split("; ")))
        for name, proves, steps in rows
        if not name.startswith("-")
    )


def run_scenario(scenario: Scenario, rig: ConformanceRig) -> str | None:
    """None where every step held, else which did not and why."""
    for number, step in enumerate(scenario.steps, 1):
        try:
            _run_step(step, rig)
        except StepError as failed:
            return f"step {number}, `{step}`: {failed}"
    return None


def _run_step(step: str, rig: ConformanceRig) -> None:
    if repeated := re.fullmatch(r"(\d+) x \[(.+)\]", step):
        for count in range(1, int(repeated[1]) + 1):
            for inner in repeated[2].split(", "):
                _run_step(inner.replace("#", str(count)), rig)
        return
    verb, *words = step.split()
    VERBS[verb](rig, words)
