"""`stile gate provision`: brings a gate's line keys into its controller, with the jumper fitted."""

from __future__ import annotations

import time
from typing import Final

import serial
import typer

from firmware_bridge import messages
from firmware_bridge.auth import PROVISIONING_KEYS, GateKeys, is_genuine, seal
from firmware_bridge.errors import PortUnavailableError
from firmware_bridge.frame import FrameReader, Heading, LineFrame, encode
from firmware_bridge.messages import Provisioning
from firmware_bridge.port import open_line
from scripts.output import EXIT_FAILED, EXIT_UNUSABLE, fail, tell_json

ANSWER_MAX_S: Final = 6.0
"""Opening the port resets an Arduino, whose bootloader then waits for a second or two."""
REPEAT_S: Final = 1.0
READ_WAIT_S: Final = 0.05

ADVICE: Final = {
    Provisioning.STORED: "the keys are kept: take the jumper off and restart the controller",
    Provisioning.NO_JUMPER: "the provisioning jumper is not fitted: fit it and try again",
    Provisioning.UNUSABLE: "the controller refuses these keys: make a new gate key",
    Provisioning.NOT_STORED: "the controller's memory does not keep the keys: replace the controller",
}


def send_keys(port: str, keys: GateKeys) -> Provisioning | None:
    """The controller's answer to PROVISION, or None if none came. Raises PortUnavailableError."""
    code, body = messages.encode_body(messages.Provision(keys.to_controller, keys.to_host))
    wire = encode(seal(LineFrame(Heading.TO_CONTROLLER, 0, 0, code, body), PROVISIONING_KEYS))
    reader = FrameReader()
    try:
        with open_line(port, timeout_s=READ_WAIT_S) as line:
            end_s = time.monotonic() + ANSWER_MAX_S
            repeat_s = 0.0
            while (now_s := time.monotonic()) < end_s:
                if now_s >= repeat_s:
                    line.write(wire)
                    repeat_s = now_s + REPEAT_S
                for arrived in reader.feed(line.read(line.in_waiting or 1)):
                    if isinstance(arrived, LineFrame) and (answer := _answer(arrived)) is not None:
                        return answer
    except (serial.SerialException, OSError) as error:
        raise PortUnavailableError(port, f"gone while in use ({error}); plug it in again") from error
    return None


def _answer(arrived: LineFrame) -> Provisioning | None:
    if arrived.boot_id or arrived.counter or not is_genuine(arrived, PROVISIONING_KEYS):
        return None
    found = messages.decode_body(arrived.heading, arrived.type, arrived.body)
    return found.answer if isinstance(found, messages.Provisioned) else None


def provision(port: str, gate_id: str, keys: GateKeys, *, as_json: bool) -> None:
    """Send the keys and tell what became of them; exits with a failure unless they are kept."""
    try:
        answer = send_keys(port, keys)
    except PortUnavailableError as error:
        fail(error, EXIT_UNUSABLE)
    if as_json:
        told = None if answer is None else answer.name.lower()
        tell_json({"port": port, "gate_id": gate_id, "answer": told})
    if answer is None:
        fail(PortUnavailableError(port, "nothing answers; check power, cable and firmware"), EXIT_FAILED)
    typer.echo(ADVICE[answer], err=answer is not Provisioning.STORED or as_json)
    if answer is not Provisioning.STORED:
        raise typer.Exit(EXIT_FAILED)
