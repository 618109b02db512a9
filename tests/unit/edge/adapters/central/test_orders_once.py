"""An order is obeyed once, however often it is said and however often the kiosk starts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.adapters.central.clock import Clock
from edge.adapters.central.commands import OBEYED_FILE, Commands
from wire.fleet import Command, CommandAction, OrderOutcome
from wire.ids import Nonce

T0_MS = 1_795_000_000_000


class Time:
    """True time; the host's clock is an hour slow, and there is no NTP."""

    def __init__(self) -> None:
        self.now_ms = T0_MS
        self.highest_ms = 0

    def highest_central_ms(self) -> int:
        return self.highest_ms

    def keep_highest_central_ms(self, instant_ms: int) -> None:
        self.highest_ms = instant_ms


class Line:
    """What a kiosk hears commands on."""

    def __init__(self) -> None:
        self.ignored: Counter[str] = Counter()
        self.hear: Any = None

    def listen(self, _kind: object, hear: Any) -> None:
        self.hear = hear

    def say(self, command: Command) -> None:
        self.hear(SimpleNamespace(message=command), False)


def life(time: Time, folder: Path, obeyed: list[Nonce], late_ms: int = 0) -> tuple[Line, Commands]:
    """A start of the kiosk; central's first word of the time was so long on the way."""
    boot_ms = time.now_ms
    clock = Clock(lambda: time.now_ms - 3_600_000, lambda: time.now_ms - boot_ms + 1, lambda: None, time)
    line = Line()
    commands = Commands(line, clock, lambda command, _: obeyed.append(command.nonce), folder)  # type: ignore[arg-type]
    said_ms = time.now_ms + 50
    time.now_ms = said_ms + late_ms
    clock.witness(said_ms, live=True)
    return line, commands


def order(time: Time) -> Command:
    return Command(
        Nonce(b"n" * 16), time.now_ms, time.now_ms + 30_000, CommandAction.RELEASE_EXIT, None, "ada"
    )  # type: ignore[call-arg, arg-type]


@pytest.mark.parametrize("late_ms", [0, 1000, 3000, 4900])
def test_an_order_obeyed_before_a_restart_is_not_obeyed_after_it(tmp_path: Path, late_ms: int):
    time, obeyed = Time(), list[Nonce]()
    line, _ = life(time, tmp_path, obeyed)
    time.now_ms += 60_000
    given = order(time)
    line.say(given)
    time.now_ms += 400
    line, _ = life(time, tmp_path, obeyed, late_ms)
    line.say(given)
    assert obeyed == [given.nonce]


def test_an_order_that_cannot_be_kept_is_not_obeyed_and_is_told(tmp_path: Path):
    time, obeyed = Time(), list[Nonce]()
    line, commands = life(time, tmp_path / "folder", obeyed)
    (tmp_path / "folder").write_text("a file in the place of the folder")
    line.say(order(time))
    assert obeyed == []
    assert [answer.outcome for answer in commands.answers()] == [OrderOutcome.NOT_KEPT]


def test_a_file_of_obeyed_orders_that_cannot_be_read_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / OBEYED_FILE).write_text("no JSON")
    time, obeyed = Time(), list[Nonce]()
    line, _ = life(time, tmp_path, obeyed)
    time.now_ms += 60_000
    line.say(order(time))
    assert len(obeyed) == 1
    assert OBEYED_FILE in caplog.text
