"""A chip of lines that is no chip: the few calls of gpiod that the driver uses, and nothing of a kernel."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping

from gpiod import LineSettings
from gpiod.line import Direction, Value


class FakeChip:
    """One chip; `request_lines` takes the place of gpiod's. Levels are electrical: True is high."""

    def __init__(self, lines: int = 28) -> None:
        self.levels = [False] * lines
        self.commands = 0
        self._settings: dict[int, LineSettings] = {}
        self._pulled = False

    def request_lines(
        self, chip: str, settings: Mapping[Iterable[int | str] | int | str, LineSettings | None]
    ) -> FakeLines:
        """The lines with these settings; OSError, as a kernel's, where the chip is gone or a line taken."""
        if self._pulled:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", chip)
        chosen = {line: found for line, found in settings.items() if isinstance(line, int) and found}
        if chosen.keys() & self._settings.keys():
            raise OSError(errno.EBUSY, "Device or resource busy")
        self._settings |= chosen
        for line, found in chosen.items():
            if found.direction is Direction.OUTPUT:
                self.levels[line] = (found.output_value is Value.ACTIVE) is not found.active_low
        return FakeLines(self, list(chosen))

    def set_level(self, line: int, high: bool) -> None:
        """What is wired to an input."""
        self.levels[line] = high

    def pull(self) -> None:
        """The chip goes away, as an expander does; its outputs stay as they are."""
        self._pulled = True

    def put_back(self) -> None:
        """The chip is there again."""
        self._pulled = False

    def value_of(self, line: int) -> Value:
        """A line as its settings have it."""
        self.check()
        return Value.ACTIVE if self.levels[line] is not self._settings[line].active_low else Value.INACTIVE

    def drive(self, line: int, value: Value) -> None:
        """An output as its settings have it; refused for an input, as a kernel does."""
        self.check()
        if self._settings[line].direction is not Direction.OUTPUT:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        self.levels[line] = (value is Value.ACTIVE) is not self._settings[line].active_low

    def check(self) -> None:
        """OSError while the chip is gone."""
        if self._pulled:
            raise OSError(errno.ENODEV, "No such device")

    def give_back(self, lines: Iterable[int]) -> None:
        """The lines are anybody's; their levels stay."""
        for line in lines:
            self._settings.pop(line, None)


class FakeLines:
    """The lines of one request."""

    def __init__(self, chip: FakeChip, lines: list[int]) -> None:
        self._chip, self._lines = chip, lines

    def get_values(self, lines: Iterable[int | str] | None = None) -> list[Value]:
        """Whether each line is active, in the order asked."""
        asked = self._lines if lines is None else lines
        return [self._chip.value_of(line) for line in asked if isinstance(line, int)]

    def set_values(self, values: Mapping[int | str, Value]) -> None:
        """Make lines active or not."""
        for line, value in values.items():
            if isinstance(line, int):
                self._chip.drive(line, value)
        self._chip.commands += 1

    def release(self) -> None:
        """Give the lines back."""
        self._chip.give_back(self._lines)
