"""Asks central to enrol and to withdraw; who was perhaps enrolled and never learnt it is withdrawn again.

A newcomer is in doubt, in a file, from before anything leaves this kiosk until they have seen their code.
Whoever is in doubt when they cancel, when central stays silent, or when the kiosk starts again, is undone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.adapters.central.clock import Clock
from edge.adapters.central.link import UNSURE_MS, Link
from edge.adapters.central.pairing import Identity
from edge.adapters.central.pins import CentralPins
from edge.adapters.storage.keyfile import RandomBytes, read_secret, write_secret
from edge.adapters.storage.vault import Vault
from edge.enact.enrolling import Application, EnrolAnswer, WithdrawAnswer, WithdrawJudgement
from edge.errors import StoreError
from wire import fields as f
from wire.canonical import canonical
from wire.enrolment import (
    EnrolReply,
    EnrolRequest,
    EnrolSecrets,
    UndoEnrolRequest,
    WithdrawReason,
    WithdrawReply,
    WithdrawRequest,
)
from wire.ids import Nonce, SubjectId
from wire.requests import Refused, Request
from wire.sealing import enrol_binding, seal_box, withdraw_binding

DOUBT_FILE = "enrolling.json"
DOUBTS_MAX = 1_000
"""Newcomers in doubt, 80 bytes each; with more of them nobody is enrolled until central has been asked."""
TRIES = 3
"""How often central is asked to enrol; the same again changes nothing."""
AGAIN_S = 0.5
UNDO_EVERY_S = 2.0
UNDO_DEADLINE_MS = 5_000
WITHDRAW_DEADLINE_MS = 5_000
WAIT_MAX_MS = 10_000
"""How long this side waits by itself where central asks for patience after a wrong PIN."""

log = logging.getLogger(__name__)


class _Doubt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    subject: f.Subject
    until_ms: f.InstantMs
    """Central answers no request of theirs after this."""


class _Doubts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    doubts: Annotated[tuple[_Doubt, ...], Meta(max_length=DOUBTS_MAX)] = ()


class CentralEnrolments:
    """Fulfils `edge.ports.Enrolments`. `run` undoes, until cancelled."""

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        *,
        link: Link,
        vault: Vault,
        pins: CentralPins,
        clock: Clock,
        random_bytes: RandomBytes,
        send_ms: int,
    ) -> None:
        """Raises `StoreError` when the file of those in doubt cannot be read."""
        self._path, self._identity, self._link, self._vault = folder / DOUBT_FILE, identity, link, vault
        self._pins, self._clock, self._random_bytes = pins, clock, random_bytes
        self._send_ms = send_ms
        self._doubts = _read_doubts(self._path)
        # Of an earlier life nobody has seen their code.
        self._to_undo = set(self._doubts)
        self._wake = asyncio.Event()

    @property
    def in_doubt(self) -> frozenset[SubjectId]:
        """Newcomers who may be enrolled without knowing it."""
        return frozenset(self._doubts)

    async def enrol(self, application: Application) -> EnrolAnswer:
        """Ask for a newcomer to be enrolled; raises `StoreError` when it cannot be noted first."""
        subject = application.subject
        if len(self._doubts) >= DOUBTS_MAX:
            raise StoreError(f"{self._path.name} is full: see that this kiosk reaches central")
        until_ms = self._clock.estimate_ms() + TRIES * self._send_ms + UNSURE_MS
        self._doubts[subject] = until_ms
        await asyncio.to_thread(self._keep)
        consented_at_ms = self._clock.estimate_ms() - self._clock.uptime_ms() + application.consented_ms
        template = application.template
        sealed = None if template is None else self._vault.seal(template, self._random_bytes)
        secrets = canonical(EnrolSecrets(application.claim_id, application.pin))

        def question(nonce: Nonce, not_after_ms: int) -> Request:
            return EnrolRequest(
                nonce,
                min(not_after_ms, until_ms),
                subject,
                application.consent_version,
                application.consent_language,
                max(consented_at_ms, 0),
                sealed,
                self._boxed(secrets, enrol_binding(self._identity.kiosk, subject, nonce)),
                application.agree_by,
                application.claim_needed,
            )

        for number in range(TRIES):
            if subject in self._to_undo:
                if number == 0:
                    self._forget(subject)  # they left before anything did
                break
            reply = await self._link.ask(question, (EnrolReply, Refused), self._send_ms)
            match reply:
                case EnrolReply(subject=named, accepted=True) if named == subject:
                    return EnrolAnswer.ENROLLED
                case EnrolReply(reason=reason) | Refused(reason=reason):
                    log.warning("central does not enrol: %s", reason)
                    return EnrolAnswer.REFUSED
                case None:
                    await asyncio.sleep(AGAIN_S)
        return EnrolAnswer.SILENT

    def settle(self, subject: SubjectId) -> None:
        """The newcomer has their code: there is no doubt any more."""
        self._forget(subject)

    def undo(self, subject: SubjectId) -> None:
        """Have whatever of a newcomer reached central withdrawn, now or as soon as it can be asked."""
        if subject not in self._doubts:  # it was settled, and they think better of it
            self._doubts[subject] = self._clock.estimate_ms()
            self._keep_or_warn()
        self._to_undo.add(subject)
        self._wake.set()

    async def withdraw(self, subject: SubjectId, pin: str) -> WithdrawJudgement:
        """Withdraw a member by their PIN; wrong ones count as everywhere else."""

        def question(nonce: Nonce, not_after_ms: int) -> Request:
            binding = withdraw_binding(self._identity.kiosk, subject, nonce)
            return WithdrawRequest(nonce, not_after_ms, subject, self._boxed(pin.encode(), binding))

        while True:
            wait_ms = self._pins.wait_ms()
            if wait_ms <= 0:
                reply = await self._link.ask(question, WithdrawReply, WITHDRAW_DEADLINE_MS)
                if reply is None:
                    return WithdrawJudgement(WithdrawAnswer.SILENT)
                if reply.reason != WithdrawReason.WAIT.value:
                    return self._judged(reply)
                wait_ms = reply.retry_after_ms
            if wait_ms > WAIT_MAX_MS:
                return WithdrawJudgement(WithdrawAnswer.LOCKED)
            await asyncio.sleep(wait_ms / 1000)

    def _judged(self, reply: WithdrawReply) -> WithdrawJudgement:
        if reply.accepted:
            self._pins.remember(right=True)
            return WithdrawJudgement(WithdrawAnswer.WITHDRAWN)
        match reply.reason:
            case WithdrawReason.WRONG_PIN:
                self._pins.remember(right=False)
                return WithdrawJudgement(WithdrawAnswer.WRONG_PIN, reply.tries_left)
            case WithdrawReason.LOCKED:
                return WithdrawJudgement(WithdrawAnswer.LOCKED)
            case _:
                return WithdrawJudgement(WithdrawAnswer.NO_PIN)

    def _boxed(self, plain: bytes, binding: bytes) -> bytes:
        return seal_box(self._identity.central_box_public_key, self._random_bytes(32), plain, binding)

    # --- whoever is in doubt ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Undo whoever is to be undone, until cancelled."""
        while True:
            for subject in sorted(self._to_undo):
                await self._try_undo(subject)
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(UNDO_EVERY_S):
                    await self._wake.wait()

    async def _try_undo(self, subject: SubjectId) -> None:
        def question(nonce: Nonce, not_after_ms: int) -> Request:
            return UndoEnrolRequest(nonce, not_after_ms, subject)

        reply = await self._link.ask(question, WithdrawReply, UNDO_DEADLINE_MS)
        match reply:
            case WithdrawReply(accepted=True):
                self._forget(subject)
            case WithdrawReply(reason=WithdrawReason.NO_SUBJECT):
                # Once central can take no request of theirs any more, nothing of them is to come.
                if (now_ms := self._clock.now_ms()) is not None and now_ms > self._doubts.get(subject, 0):
                    self._forget(subject)
            case WithdrawReply(reason=reason):
                log.error("subject %s may be enrolled unknowingly, and central says %s", subject, reason)
                self._forget(subject)
            case None:
                pass

    def _forget(self, subject: SubjectId) -> None:
        self._to_undo.discard(subject)
        if self._doubts.pop(subject, None) is not None:
            self._keep_or_warn()

    def _keep_or_warn(self) -> None:
        try:
            self._keep()
        except StoreError as error:
            # At worst somebody who has their code is undone at the next start, and enrols again.
            log.warning("%s", error)

    def _keep(self) -> None:
        doubts = tuple(_Doubt(subject, until_ms) for subject, until_ms in self._doubts.items())
        try:
            write_secret(self._path, msgspec.json.encode(_Doubts(doubts)))
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written ({error.strerror}): free the disk") from error


def _read_doubts(path: Path) -> dict[SubjectId, int]:
    if not path.exists():
        return {}
    remedy = "move it away; see that nobody is enrolled who does not know it (stile central subject …)"
    try:
        kept = msgspec.json.decode(read_secret(path, remedy), type=_Doubts)
    except msgspec.DecodeError as error:
        raise StoreError(f"{path} is damaged ({error}): {remedy}") from error
    return {doubt.subject: doubt.until_ms for doubt in kept.doubts}
