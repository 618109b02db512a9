"""What may be done to a gate that `stile gate simulate` serves, from another program: `stile gate console`.

Words, one order a datagram, to a socket beside the port: PORT.control. A real controller has none: its inputs
are wires.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Final

from firmware_bridge.messages import Direction, Inputs
from scripts.cli.gate.stand import Stand

SUFFIX: Final = ".control"

ORDER_MAX: Final = 200
"""An order is two or three words; an answer a sentence."""

ANSWER_MAX_S: Final = 5.0
"""The stand answers within a round of its loop, some milliseconds."""

OBEYED: Final = "done"

GRAMMAR: Final = "on INPUT…, off INPUT…, walk entry|exit, tailgate entry|exit, restart; inputs: " + ", ".join(
    bit.name.lower() for bit in Inputs if bit.name
)


class InjectionError(Exception):
    """An order that cannot be given; the message says what can."""

    @classmethod
    def no_orders_on(cls, port: str) -> InjectionError:
        """For a port that is not a simulated gate's."""
        return cls(
            f"{port} takes no orders: inputs can be changed only on a gate that stile gate simulate serves"
        )


def obey(stand: Stand, order: str) -> None:
    """Do what the words say; raises InjectionError with the grammar."""
    match order.lower().split():
        case ["on", *names] if names:
            stand.set_inputs(on=_inputs(names))
        case ["off", *names] if names:
            stand.set_inputs(off=_inputs(names))
        case ["walk", ("entry" | "exit") as way]:
            stand.walk_through(Direction[way.upper()])
        case ["tailgate", ("entry" | "exit") as way]:
            stand.tailgate(Direction[way.upper()])
        case ["restart"]:
            stand.restart()
        case _:
            raise InjectionError(f"{order!r} is no order; there are: {GRAMMAR}")


def _inputs(names: list[str]) -> Inputs:
    found = Inputs(0)
    for name in names:
        try:
            found |= Inputs[name.upper()]
        except KeyError as error:
            raise InjectionError(f"{name!r} is no input; there are: {GRAMMAR}") from error
    return found


class Controls:
    """Takes orders for a stand beside its port, in a thread of its own; use as a context manager."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._path = _control_of(stand.path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="orders to the gate", daemon=True)

    def __enter__(self) -> Controls:
        """Listen; only this user may give orders."""
        self._path.unlink(missing_ok=True)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        self._stopping = True
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as closer:
            closer.sendto(b"", str(self._path))
        self._thread.join()
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            order, asker = self._socket.recvfrom(ORDER_MAX)
            if self._stopping:
                return
            try:
                obey(self._stand, order.decode(errors="replace"))
                answer = OBEYED
            except (InjectionError, OSError) as error:
                answer = str(error)
            if asker:
                self._answer(answer, asker)

    def _answer(self, answer: str, asker: str) -> None:
        try:
            self._socket.sendto(answer.encode(), asker)
        except OSError:
            return  # whoever asked has gone


def can_inject(port: str) -> bool:
    """Whether this port is a simulated gate's, which takes orders."""
    return _control_of(Path(port)).is_socket()


def inject(port: str, order: str) -> None:
    """Give an order to the gate served on `port`; raises InjectionError."""
    control = _control_of(Path(port))
    if not control.is_socket():
        raise InjectionError.no_orders_on(port)
    with (
        tempfile.TemporaryDirectory(prefix="stile-gate-order-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking,
    ):
        asking.bind(str(Path(folder) / "asker"))
        asking.settimeout(ANSWER_MAX_S)
        try:
            asking.sendto(order.encode()[:ORDER_MAX], str(control))
            answer = asking.recv(4 * ORDER_MAX + len(GRAMMAR)).decode(errors="replace")
        except OSError as error:
            raise InjectionError(f"the gate served on {port} does not answer ({error})") from error
    if answer != OBEYED:
        raise InjectionError(answer)


def _control_of(port: Path) -> Path:
    return port.with_name(port.name + SUFFIX)
