"""A serial port that is read and written without waiting, and knows when it is gone."""

from __future__ import annotations

import os
import select
import termios
from contextlib import suppress

import serial

from firmware_bridge.errors import PortUnavailableError
from firmware_bridge.port import READ_MAX, open_line

_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


class SerialLine:
    """One opened port; every failure is a PortUnavailableError that says what to do."""

    def __init__(self, path: str, baud: int) -> None:
        self._path = path
        self._port = open_line(path, baud)
        self._poll = select.poll()
        self._poll.register(self._port.fileno(), select.POLLIN)

    def read(self, most: int = READ_MAX) -> bytes:
        """What is there, empty where nothing is."""
        # A port at rest and one that hung up both read as empty; only the kernel's flags tell them apart.
        flags = 0
        with suppress(IndexError):
            flags = self._poll.poll(0)[0][1]
        try:
            received = os.read(self._port.fileno(), most) if flags & select.POLLIN else b""
        except (OSError, serial.SerialException) as error:
            raise self._gone(str(error)) from error
        if not received and flags & (_GONE | select.POLLIN):
            raise self._gone("hung up")
        return received

    def write(self, sent: bytes) -> int:
        """Send what fits; how much that was."""
        try:
            return os.write(self._port.fileno(), sent)
        except BlockingIOError:
            return 0
        except (OSError, serial.SerialException) as error:
            raise self._gone(str(error)) from error

    def forget(self) -> None:
        """Drop what has not been read."""
        with suppress(OSError, serial.SerialException, termios.error):
            self._port.reset_input_buffer()

    def close(self) -> None:
        """Give the port back; may be called twice."""
        with suppress(OSError, serial.SerialException, termios.error):
            self._port.close()

    def _gone(self, why: str) -> PortUnavailableError:
        return PortUnavailableError(self._path, f"gone while in use ({why}); plug it in again")
