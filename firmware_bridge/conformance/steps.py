"""What each step of a PROTOCOL.md scenario does on a rig, by its first word."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, replace
from enum import IntEnum
from typing import Final

from firmware_bridge import messages
from firmware_bridge.auth import PROVISIONING_KEYS, GateKeys
from firmware_bridge.conformance.bad_frames import bad_frame
from firmware_bridge.conformance.rig import (
    LINE_BYTES_PER_MS,
    PATIENCE_MS,
    PROVISION_MAX_MS,
    STEP_MS,
    ConformanceRig,
    StepError,
)
from firmware_bridge.conformance.targets import with_inputs
from firmware_bridge.messages import (
    Answer,
    Direction,
    Inputs,
    Mode,
    Nonce,
    Outputs,
    PassageId,
    Provisioning,
    Release,
)

STRIDE_MS: Final = 30
"""One place of a person walking quickly."""

LASTED_SLACK_MS: Final = 15
"""A relay's time is known to a round of the controller and a step of ours."""

REPEATS_WITHIN_MS: Final = 1_000

BOOT_MS: Final = 60
"""An AVR keeps its boot id for 20 ms before it opens the port; what is sent earlier is lost."""

_BOTH: Final = Outputs.ENTRY_UNLOCKED | Outputs.EXIT_UNLOCKED
_WAYS: Final = {
    "none": Outputs(0),
    "entry": Outputs.ENTRY_UNLOCKED,
    "exit": Outputs.EXIT_UNLOCKED,
    "both": _BOTH,
}
WIRED: Final = frozenset(
    (
        "on",
        "off",
        "chatter",
        "walk",
        "follow",
        "back",
        "freed",
        "lasted",
        "relays",
        "clock",
        "restart",
        "restarted",
        "buzzer",
        "lamp",
    )
)
"""Steps that reach a target only by a side channel."""


def keys_numbered(number: int) -> GateKeys:
    """Line keys for a test: number 1 is what the suite provisions, 0 is no key."""
    return GateKeys(bytes([number]) * 16, bytes([number * 3]) * 16)


def number_of(text: str) -> int:
    """A number of milliseconds, a limit by its name, or sums of them: `OPEN_MAX_MS-50`."""
    total = 0
    for sign, name in re.findall(r"([+-]?)(\w+)", text):
        value = int(name) if name.isdigit() else messages.LIMITS[name]
        total += -value if sign == "-" else value
    return total


def _check(holds: bool, found: object) -> None:
    if not holds:
        raise StepError(f"found {found}")


# --- the host ---------------------------------------------------------------------------------------------


def _greet(rig: ConformanceRig, _: list[str]) -> None:
    rig.run(max(BOOT_MS - rig.now_ms, 0))
    challenge = rig.random.randbytes(messages.CHALLENGE_SIZE)
    known = len(rig.heard)
    rig.send_bootless(messages.Hello(challenge, messages.protocol_hash()), rig.keys)

    def welcomed() -> bool:
        return any(isinstance(m, messages.Welcome) and m.challenge == challenge for m in rig.heard[known:])

    _check(rig.until(welcomed), "no WELCOME with this challenge")
    found = next(m for m in reversed(rig.heard) if isinstance(m, messages.Welcome))
    _check(
        found.protocol_hash == messages.protocol_hash(), f"another protocol hash: {found.protocol_hash.hex()}"
    )


def _up(rig: ConformanceRig, words: list[str]) -> None:
    _greet(rig, words)
    known = len(rig.heard)
    rig.send(messages.Heartbeat(token := 7))
    rig.beats = True

    def answered() -> bool:
        return any(isinstance(m, messages.Status) and m.token == token for m in rig.heard[known:])

    _check(rig.until(answered), "the first HEARTBEAT is not answered")


def _beats(on: bool) -> Callable[[ConformanceRig, list[str]], None]:
    def set_beats(rig: ConformanceRig, _: list[str]) -> None:
        rig.beats = on

    return set_beats


def _wait(rig: ConformanceRig, words: list[str]) -> None:
    rig.run(number_of(words[0]))


def release_of(
    rig: ConformanceRig, number: int, direction: Direction, within_ms: int, open_ms: int
) -> Release:
    """RELEASE number so many of this rig; number 0 is for nobody."""
    nonce = rig.nonce_base.to_bytes(4, "little") + number.to_bytes(4, "little")
    passage_id = PassageId(number.to_bytes(messages.PASSAGE_ID_SIZE, "big"))
    return Release(passage_id, Nonce(nonce), rig.uptime_in(within_ms), open_ms, direction)


def _release(rig: ConformanceRig, words: list[str]) -> None:
    number, way, _, within, _, open_ms, _, wanted = words
    release = release_of(rig, int(number), Direction[way.upper()], number_of(within), number_of(open_ms))
    known = len(rig.heard)
    rig.send(release)

    def answers() -> list[Answer]:
        told = (m for m in rig.heard[known:] if isinstance(m, messages.ReleaseAnswer))
        return [m.answer for m in told if m.nonce == release.nonce]

    _check(rig.until(lambda: bool(answers())), "no answer")
    [answer] = answers()
    if answer is Answer.ACCEPTED:
        rig.late_obeyed += wanted == "LATE"
        rig.replayed_obeyed += wanted == "ALREADY"
    _check(answer is Answer[wanted], answer.name)


def _bad(rig: ConformanceRig, words: list[str]) -> None:
    kind, _, reason = words
    before = _ignored(rig)
    known, outputs = len(rig.heard), rig.outputs
    good = release_of(rig, 99, Direction.ENTRY, 5_000, 3_000)
    rig.put(bad_frame(kind, rig, good))
    rig.run(2 * STEP_MS)
    accepted = [m for m in rig.heard[known:] if isinstance(m, messages.ReleaseAnswer)]
    opened = rig.outputs & ~outputs & _BOTH
    if accepted or opened:
        rig.replayed_obeyed += 1
    _check(not accepted and not opened, f"it was obeyed: {accepted}, {opened!r}")
    after = _ignored(rig)
    rose = {name: after[name] - count for name, count in before.items() if after[name] != count}
    _check(rose == {reason: 1}, f"counted as {rose}")


def _ignored(rig: ConformanceRig) -> dict[str, int]:
    """The counts as STATUS has them by now."""
    known = len(rig.heard)

    def told() -> list[messages.Status]:
        return [m for m in rig.heard[known:] if isinstance(m, messages.Status)]

    if rig.beats:
        rig.send(messages.Heartbeat(9))
    _check(rig.until(lambda: bool(told()), messages.STATUS_MS + PATIENCE_MS), "no STATUS")
    status, prefix = told()[-1], "ignored_"
    names = (field.name for field in fields(status))
    return {name.removeprefix(prefix): getattr(status, name) for name in names if name.startswith(prefix)}


def _flood(rig: ConformanceRig, words: list[str]) -> None:
    size = LINE_BYTES_PER_MS * STEP_MS

    def frames() -> bytes:
        made = b""
        while len(made) < size:
            made += rig.sealed(release_of(rig, 50 + rig.counter, Direction.ENTRY, -1, 3_000))
            made += rig.sealed(messages.Heartbeat(11))
        return made[:size]

    kinds = {"frames": frames, "garbage": lambda: rig.random.randbytes(size), "off": None}
    rig.flood = kinds[words[0]]
    if rig.flood is None:
        rig.put(b"\x00")


def _provision(rig: ConformanceRig, words: list[str]) -> None:
    # Without a number the rig's own keys.
    numbered = words[0].isdigit()
    keys = keys_numbered(int(words.pop(0))) if numbered else rig.keys
    known = len(rig.heard)
    rig.send_bootless(messages.Provision(keys.to_controller, keys.to_host), PROVISIONING_KEYS)
    if not words:
        return

    def answers() -> list[Provisioning]:
        return [m.answer for m in rig.heard[known:] if isinstance(m, messages.Provisioned)]

    _check(rig.until(lambda: bool(answers()), PROVISION_MAX_MS), "no answer")
    _check(answers() == [Provisioning[words[1]]], answers())


def _keys(rig: ConformanceRig, words: list[str]) -> None:
    rig.keys = keys_numbered(int(words[0]))


# --- wires ------------------------------------------------------------------------------------------------


def _inputs(names: list[str]) -> Inputs:
    found = Inputs(0)
    for name in names:
        found |= Inputs[name]
    return found


def _on(rig: ConformanceRig, words: list[str]) -> None:
    rig.drive = with_inputs(rig.drive, _inputs(words), Inputs(0))


def _off(rig: ConformanceRig, words: list[str]) -> None:
    rig.drive = with_inputs(rig.drive, Inputs(0), _inputs(words))


def _chatter(rig: ConformanceRig, words: list[str]) -> None:
    name, on_ms, off_ms, _, span_ms = words
    end_ms = rig.now_ms + number_of(span_ms)
    while rig.now_ms < end_ms:
        _on(rig, [name])
        rig.run(number_of(on_ms))
        _off(rig, [name])
        rig.run(number_of(off_ms))


def _person(*places: str) -> Callable[[ConformanceRig, list[str]], None]:
    def move(rig: ConformanceRig, words: list[str]) -> None:
        near, far = (Inputs.BEAM_A, Inputs.BEAM_B)
        if words[0] == "exit":
            near, far = far, near
        for place in places:
            beams = (near if "n" in place else Inputs(0)) | (far if "f" in place else Inputs(0))
            rig.drive = with_inputs(rig.drive, beams, near | far)
            rig.drive = with_inputs(rig.drive, beams, Inputs(0))
            rig.run(STRIDE_MS)

    return move


def _relays(rig: ConformanceRig, words: list[str]) -> None:
    rig.drive = replace(rig.drive, relays_stuck=words[0] == "stuck")


def _clock(rig: ConformanceRig, _: list[str]) -> None:
    rig.drive = replace(rig.drive, clock_stopped=True)


def _restart(rig: ConformanceRig, _: list[str]) -> None:
    rig.restart()


def _restarted(rig: ConformanceRig, words: list[str]) -> None:
    before, rig.beats = rig.boot_id, False
    _greet(rig, words)
    _check(rig.boot_id > before, f"boot id {rig.boot_id} after {before}")


# --- what is seen -----------------------------------------------------------------------------------------


def _mode(rig: ConformanceRig, words: list[str]) -> None:
    wanted = Mode[words[0]]
    _check(
        rig.until(lambda: rig.status is not None and rig.status.mode is wanted),
        rig.status and rig.status.mode.name,
    )


def _unlocked(rig: ConformanceRig, words: list[str]) -> None:
    _check(rig.outputs & _BOTH == _WAYS[words[0]], repr(rig.outputs))


def _lamp(rig: ConformanceRig, words: list[str]) -> None:
    wanted = {"green": Outputs.LAMP_GREEN, "red": Outputs.LAMP_RED}[words[0]]
    _check(rig.outputs & (Outputs.LAMP_GREEN | Outputs.LAMP_RED) == wanted, repr(rig.outputs))


def _buzzer(rig: ConformanceRig, words: list[str]) -> None:
    _check(bool(rig.outputs & Outputs.BUZZER) == (words[0] == "on"), repr(rig.outputs))


def _status(rig: ConformanceRig, words: list[str]) -> None:
    name, wanted = words
    _check(rig.until(lambda: getattr(rig.status, name) == int(wanted)), getattr(rig.status, name))


def _next_event(rig: ConformanceRig) -> messages.Numbered:
    _check(rig.until(lambda: bool(rig.events), messages.EVENT_REPEAT_MS + PATIENCE_MS), "no event")
    return rig.events[0]


def _event(rig: ConformanceRig, words: list[str]) -> None:
    event = _next_event(rig)
    _check(messages.row_of(event).name == words[0], event)
    wanted = set(words[1:])
    values = messages.field_values(event)
    told = {value.name for value in values.values() if isinstance(value, IntEnum)}
    told |= {str(int.from_bytes(value, "big")) for value in values.values() if isinstance(value, bytes)}
    _check(told == wanted, event)
    rig.events.popleft()
    rig.send(messages.Acknowledge(event.sequence))
    rig.run(STEP_MS)


def _hears(rig: ConformanceRig, words: list[str]) -> None:
    event = _next_event(rig)
    _check(messages.row_of(event).name == words[0], event)
    known = len(rig.heard)
    rig.send(messages.Acknowledge(event.sequence + 1))
    rig.run(REPEATS_WITHIN_MS)
    count = rig.heard[known:].count(event)
    _check(int(words[1]) <= count <= int(words[1]) + 2, f"{count} repeats")


def _settled(rig: ConformanceRig, _: list[str]) -> None:
    rig.run(4 * STEP_MS)
    _check(not rig.events, list(rig.events))


def _freed(rig: ConformanceRig, words: list[str]) -> None:
    way, _, limit, _, name = words
    began_us = rig.switched(Inputs[name])
    if began_us is None:
        raise StepError(f"{name} was never active")
    freed_us = None
    for change in rig.changes:
        if change.at_us < began_us or not change.inputs & Inputs[name]:
            continue
        is_free = change.outputs & _WAYS[way] == _WAYS[way]
        if is_free and freed_us is None:
            freed_us = change.at_us
        _check(is_free or freed_us is None, f"locked again {(change.at_us - began_us) / 1_000} ms after")
    if freed_us is None:
        raise StepError("it was not freed")
    took_ms = (freed_us - began_us) / 1_000
    if Inputs[name] & (Inputs.FIRE | Inputs.EMERGENCY):
        rig.fire_release_ms.append(took_ms)
    _check(took_ms <= number_of(limit), f"{took_ms} ms")


def _lasted(rig: ConformanceRig, words: list[str]) -> None:
    way, wanted_ms = _WAYS[words[0]], number_of(words[1])
    began_us, lasted_ms = None, None
    for change in rig.changes:
        if change.outputs & way and began_us is None:
            began_us = change.at_us
        elif not change.outputs & way and began_us is not None:
            lasted_ms, began_us = (change.at_us - began_us) / 1_000, None
    if lasted_ms is None:
        raise StepError("it has not closed")
    _check(abs(lasted_ms - wanted_ms) <= LASTED_SLACK_MS, f"{lasted_ms} ms")


VERBS: Final[dict[str, Callable[[ConformanceRig, list[str]], None]]] = {
    "greet": _greet,
    "up": _up,
    "silent": _beats(False),
    "beat": _beats(True),
    "wait": _wait,
    "release": _release,
    "bad": _bad,
    "flood": _flood,
    "provision": _provision,
    "keys": _keys,
    "on": _on,
    "off": _off,
    "chatter": _chatter,
    "walk": _person("n", "nf", "f", ""),
    "follow": _person("n", "nf", "f", "nf", "f", ""),
    "back": _person("n", "nf", "n", ""),
    "relays": _relays,
    "clock": _clock,
    "restart": _restart,
    "restarted": _restarted,
    "mode": _mode,
    "unlocked": _unlocked,
    "lamp": _lamp,
    "buzzer": _buzzer,
    "status": _status,
    "event": _event,
    "hears": _hears,
    "settled": _settled,
    "freed": _freed,
    "lasted": _lasted,
}
"""What a step does, by its first word; raises StepError where its expectation does not hold."""
