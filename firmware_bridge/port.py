"""One serial port on an asyncio loop, which comes back by itself when it is gone. POSIX only."""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, Protocol

import serial

from firmware_bridge.errors import PortUnavailableError
from firmware_bridge.messages import BAUD
from wire.transport.supervision import Supervisor

BY_ID = Path("/dev/serial/by-id")
"""Where udev names ports by maker, product and serial number; ttyUSB0 is whatever was plugged in first."""

READ_MAX = 4_096
"""A whole second of line at 250000 baud is 25 kB; one read takes what is there up to this."""

BACKLOG_MAX = 16_384
"""What waits to be written, 0.6 s of line: beyond it the other side does not read, and the port is closed."""

RETRY_FIRST_S = 0.1
"""Between tries to open the port, doubling: quick after a re-plug, idle when absent."""
RETRY_LAST_S = 2.0


class Session(Protocol):
    """What talks over the port; called on the loop's thread."""

    def port_opened(self) -> None:
        """The port is open and empty."""

    def port_read(self, received: bytes) -> None:
        """Bytes came in."""

    def port_closed(self, error: PortUnavailableError) -> None:
        """The port is gone or could not be opened; it is tried again."""


class SerialPort:
    """Keeps one port open for one session until closed."""

    def __init__(self, path: str, session: Session, baud: int = BAUD) -> None:
        self._path = path
        self._session = session
        self._baud = baud
        self._port: serial.Serial | None = None
        self._backlog = bytearray()
        self._gone: asyncio.Future[PortUnavailableError] | None = None
        self._task: asyncio.Task[NoReturn] | None = None

    def start(self) -> None:
        """Begin trying to open; needs a running loop."""
        kept = Supervisor().keep(f"port {self._path}", self._keep_open)
        self._task = asyncio.get_running_loop().create_task(kept)

    def write(self, sent: bytes) -> None:
        """Queue bytes; dropped while the port is closed."""
        if self._port is None or not sent:
            return
        if len(self._backlog) + len(sent) > BACKLOG_MAX:
            self._lose("the other side does not read; check the cable and the device")
            return
        self._backlog += sent
        self._flush()

    async def close(self) -> None:
        """Close the port and stop trying."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def call(self, work: Callable[[], None]) -> None:
        """Do what a timer or the port asks for; what goes wrong in it ends this life of the port."""
        try:
            work()
        except Exception as error:
            if self._gone is None or self._gone.done():
                raise
            self._gone.set_exception(error)

    async def _keep_open(self) -> None:
        try:
            await self._open_again_and_again()
        except Exception as error:
            self._session.port_closed(PortUnavailableError(self._path, f"failed ({error!r}); see the log"))
            raise

    async def _open_again_and_again(self) -> None:
        retry_s = RETRY_FIRST_S
        while True:
            try:
                self._open()
            except PortUnavailableError as error:
                self._session.port_closed(error)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, RETRY_LAST_S)
                continue
            retry_s = RETRY_FIRST_S
            try:
                self._session.port_opened()
                assert self._gone is not None
                lost = await self._gone
            finally:
                self._shut()
            self._session.port_closed(lost)
            await asyncio.sleep(retry_s)

    def _open(self) -> None:
        self._port = open_line(self._path, self._baud)
        self._gone = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._port.fileno(), self.call, self._read)

    def _shut(self) -> None:
        if self._port is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._port.fileno())
        loop.remove_writer(self._port.fileno())
        self._backlog.clear()
        with suppress(OSError, serial.SerialException):
            self._port.close()
        self._port = None

    def _read(self) -> None:
        assert self._port is not None
        try:
            received = os.read(self._port.fileno(), READ_MAX)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"gone while in use ({error.strerror}); plug it in again")
            return
        if received:
            self._session.port_read(received)
        else:
            self._lose("gone while in use; plug it in again")

    def _flush(self) -> None:
        assert self._port is not None
        loop = asyncio.get_running_loop()
        try:
            written = os.write(self._port.fileno(), self._backlog)
        except BlockingIOError:
            written = 0
        except OSError as error:
            self._lose(f"gone while in use ({error.strerror}); plug it in again")
            return
        del self._backlog[:written]
        if self._backlog:
            loop.add_writer(self._port.fileno(), self.call, self._flush)
        else:
            loop.remove_writer(self._port.fileno())

    def _lose(self, why: str) -> None:
        assert self._port is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._port.fileno())
        loop.remove_writer(self._port.fileno())
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(PortUnavailableError(self._path, why))


def open_line(path: str, baud: int = BAUD, timeout_s: float = 0.0) -> serial.Serial:
    """A port for this program alone, DTR and RTS low; raises PortUnavailableError with advice.

    Linux raises DTR at every opening, however short; from then on it is low. What must not restart at that
    has its DTR reset cut. A name in /dev/serial/by-id is followed anew at each opening.
    """
    port = serial.Serial()
    port.port, port.baudrate, port.timeout, port.exclusive = path, baud, timeout_s, True
    port.dtr = port.rts = False
    try:
        port.open()
    except (serial.SerialException, OSError, ValueError, termios.error) as error:
        with suppress(OSError, serial.SerialException):
            port.close()
        raise PortUnavailableError(path, advice(error)) from error
    # A USB adapter otherwise keeps what it received for 16 ms; a pseudo-terminal has no such mode.
    with suppress(OSError, NotImplementedError, ValueError, AttributeError):
        port.set_low_latency_mode(True)
    return port


def stable_names() -> tuple[str, ...]:
    """The ports of this machine by the names that stay theirs whatever else is plugged in."""
    try:
        return tuple(sorted(str(name) for name in BY_ID.iterdir()))
    except OSError:
        return ()


def stable_name(path: str) -> str | None:
    """The by-id name of a port that was named otherwise; None where it has none, or was named so."""
    if path.startswith(f"{BY_ID}/"):
        return None
    try:
        device = Path(path).resolve(strict=True)
    except OSError:
        return None
    return next((name for name in stable_names() if Path(name).resolve() == device), None)


def advice(error: Exception) -> str:
    """What a technician can do about a port that does not open."""
    number = getattr(error, "errno", None)
    text = str(error)
    if isinstance(error, FileNotFoundError) or number == 2:
        there = ", ".join(stable_names()) or "nothing there now"
        return f"not there; plug the controller in, or name its port as in {BY_ID} ({there})"
    if number == 13:
        return "no permission; add this user to the group that owns it (dialout on Debian)"
    if number in (11, 16) or "exclusively lock" in text:
        return "in use by another program; only one may talk to a gate"
    return f"cannot be opened ({text}); check that it is a serial port"
