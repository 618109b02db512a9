"""Central in a process of its own: the real service on SQLite, and verbs for all that it does during a run.

Whatever it changes it tells the harness with the instants between which it is true, so that what kiosks
made of it can be judged afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from argon2 import PasswordHasher

from central.app import (
    Central,
    init_central,
    load_config,
    open_central,
)
from central.rules.enrolment import Consent
from central.rules.restriction import Terms
from central.rules.scorecard import Event, EventKind, EventOutcome
from central.trial import TrialReviewer, add_reviewer, issue_restriction, lift_restriction
from edge.adapters.storage.vault import Vault
from edge.compare.gallery import Template
from scripts.harness.children import serve
from wire import topics
from wire.codec import encode
from wire.environment import Environment, utc_ms
from wire.fleet import Command, CommandAction, StandingDelta
from wire.ids import (
    GateId,
    KioskId,
    Nonce,
    OperatorId,
    Purpose,
    ReasonCode,
    RestrictionId,
    ReviewerId,
    SubjectId,
)
from wire.signing import DAY_MS, Signer
from wire.topics import Address, TopicKind
from wire.values import Standing

OPERATOR, SITE = "harness", "north"
PURPOSES = {"ride": "EUR", "locker": "USD"}
"""Each with a currency of its own, so that a standing tells which purpose it was made for."""
RECIPE = "ab" * 32
DIMENSIONS = 128
PIN = "2468"
HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
"""What a PIN costs is measured elsewhere; a thousand kiosks that ask at once would measure nothing else."""
LIFE_MS = 5_000
LONG_AGO_MS = 20_000
"""An expired command ended so long before it is sent: no kiosk's clock may be that far behind."""
ROWS_A_DELTA = 100


class CentralVerbs:
    """A running central and what it is told to do."""

    def __init__(self, central: Central, reviewers: Sequence[TrialReviewer], seed: int) -> None:
        self._central, self._reviewers = central, reviewers
        self._dice = random.Random(seed)  # noqa: S311 - a run is repeated from its seed
        self._numbers = 0
        self._sent: list[tuple[Address, bytes]] = []

    @property
    def verbs(self) -> dict[str, Any]:
        """By name, for `serve`."""
        return {
            "enrol": self.enrol,
            "add_kiosks": self.add_kiosks,
            "turn": self.turn,
            "command": self.command,
            "mislabel": self.mislabel,
            "stats": self.stats,
        }

    async def enrol(self, count: int) -> Mapping[str, Any]:
        """Enrol members with a template, a claim and a PIN."""
        use_cases = self._central.use_cases
        vault = Vault(use_cases.context.operator, use_cases.context.site, use_cases.context.secrets)
        generator = np.random.Generator(np.random.PCG64(self._dice.getrandbits(32)))
        members = []
        for _ in range(count):
            vector = generator.normal(size=DIMENSIONS).astype(np.float32)
            vector /= np.linalg.norm(vector)
            subject = use_cases.members.new_subject_id()
            sealed = vault.seal(Template(subject, vector, RECIPE, 3), os.urandom)
            use_cases.members.enrol(subject, sealed, Consent("harness", "en", utc_ms()))
            claim = use_cases.members.add_qr_claim(subject)
            use_cases.members.set_pin(subject, PIN)
            members.append({"subject": subject, "claim": claim})
            await asyncio.sleep(0)
        await asyncio.to_thread(self._central.publish_heads)
        return {"members": members}

    async def add_kiosks(self, kiosks: dict[str, str]) -> Mapping[str, Any]:
        """Pairing codes for new kiosks: names, and each its purpose."""
        codes = {}
        for name, purpose in kiosks.items():
            codes[name] = self._central.use_cases.kiosks.add(KioskId(name), Purpose(purpose))
            await asyncio.sleep(0)
        return {"codes": codes, "url": self._central.http_url}

    async def turn(
        self,
        restrict: list[dict[str, str]],
        lift: list[str],
        withdraw: list[str],
        events: list[dict[str, str]],
    ) -> Mapping[str, Any]:
        """Change several things, tell them all at once, and say from when on kiosks are told."""
        use_cases = self._central.use_cases
        began_ms = utc_ms()
        issued = [
            issue_restriction(
                use_cases,
                Terms(
                    SubjectId(each["subject"]),
                    OperatorId(OPERATOR),
                    Purpose(each["purpose"]),
                    ReasonCode("conduct"),
                    "See staff",
                    began_ms + DAY_MS,
                ),
                self._reviewers,
            )
            for each in restrict
        ]
        for restriction in lift:
            lift_restriction(use_cases, RestrictionId(restriction), self._reviewers[0])
        for subject in withdraw:
            use_cases.members.withdraw(SubjectId(subject))
        for each in events:
            self._numbers += 1
            use_cases.standings.record_event(
                Event(
                    f"harness-{self._numbers}",
                    SubjectId(each["subject"]),
                    Purpose(each["purpose"]),
                    EventKind.FARE,
                    EventOutcome(each["outcome"]),
                    utc_ms(),
                )
            )
        await asyncio.to_thread(use_cases.feeds.refresh)
        self._central.publish_heads()
        return {
            "restrictions": [each.restriction_id for each in issued],
            "began_ms": began_ms,
            "told_ms": utc_ms(),
            "versions": {name: list(use_cases.feeds.place(Purpose(name)) or (0, 0)) for name in PURPOSES},
        }

    async def command(self, kiosk: str, kind: str) -> Mapping[str, Any]:
        """Sign and send a command: good, expired, long, foreign, misdirected, or one sent before again."""
        use_cases, now_ms = self._central.use_cases, utc_ms()
        address = topics.kiosk_topic(TopicKind.COMMAND, use_cases.context.site, KioskId(kiosk))
        if kind == "again":
            if self._sent:
                self._central.link.publish(*self._dice.choice(self._sent))
            return {}
        issued_ms = now_ms - LONG_AGO_MS - LIFE_MS if kind == "expired" else now_ms
        life_ms = 600_000 if kind == "long" else LIFE_MS
        order = Command(
            Nonce(os.urandom(16)),
            issued_ms,
            issued_ms + life_ms,
            CommandAction.RELEASE_EXIT,
            GateId("harness-1"),
            "ada",
        )
        signer = Signer.from_seed(b"?" * 32) if kind == "foreign" else use_cases.context.identity.signer
        known = use_cases.kiosks.paired(KioskId(kiosk))
        purpose = "" if known is None else known.purpose
        signed_for = address
        if kind == "misdirected":
            signed_for = topics.kiosk_topic(TopicKind.COMMAND, use_cases.context.site, KioskId("nobody"))
        payload = encode(signed_for, order, signer, use_cases.context.operator, purpose)
        sent = self._central.link.publish(address, payload)
        if kind in {"good", "expired"}:
            self._sent = [*self._sent[-50:], (address, payload)]
        return {"nonce": order.nonce.hex(), "not_after_ms": order.not_after_ms, "sent": sent}

    async def mislabel(self, purpose: str) -> Mapping[str, Any]:
        """A fault of central's own: a change, rightly signed, whose rows were made for another purpose."""
        use_cases, other = self._central.use_cases, next(name for name in PURPOSES if name != purpose)
        rows = [row for row in use_cases.standings.everybody(Purpose(other)) if isinstance(row, Standing)]
        place = use_cases.feeds.place(Purpose(purpose))
        assert place is not None, "the feed of a configured purpose is there from the start"
        delta = StandingDelta(place[0], place[1] + 1, utc_ms(), tuple(rows[:ROWS_A_DELTA]), ())
        address = topics.standing_delta(use_cases.context.site, Purpose(purpose))
        signer = use_cases.context.identity.signer
        self._central.link.publish(
            address, encode(address, delta, signer, use_cases.context.operator, purpose)
        )
        return {"version": delta.version}

    async def stats(self) -> Mapping[str, Any]:
        """What central ignored, by reason."""
        return {
            "ignored": dict(self._central.router.ignored),
            "connected": self._central.link.connected.is_set(),
        }


def write_config(folder: Path, host: str, port: int, head_every_s: int) -> Path:
    """A central with two purposes, at a broker that is there already."""
    config = init_central(folder, OPERATOR, SITE, "ride")
    card = (folder / "ride.scorecard.toml").read_text(encoding="utf-8")
    extra = card.replace('purpose = "ride"', 'purpose = "locker"').replace('"EUR"', f'"{PURPOSES["locker"]}"')
    (folder / "locker.scorecard.toml").write_text(extra, encoding="utf-8")
    text = config.read_text(encoding="utf-8")
    text = text.replace("[purposes]", '[purposes]\nlocker = "locker.scorecard.toml"')
    text = text.replace("head_every_s = 60", f"head_every_s = {head_every_s}")
    plain = 'embedded = true\nhost = "127.0.0.1"\nport = 0'
    assert plain in text, "central's configuration is written as before"
    text = text.replace(plain, f'embedded = false\nhost = "{host}"\nport = {port}', 1)
    config.write_text(text, encoding="utf-8")
    return config


async def main() -> None:
    """Wait for `open`, then serve until the pipe is closed."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_(folder: str, host: str, port: int, head_every_s: int, seed: int) -> Mapping[str, Any]:
            at = Path(folder)
            config = load_config(write_config(at, host, port, head_every_s))
            reviewers = [add_reviewer(config, ReviewerId(name)) for name in ("noor", "rita")]
            central = await stack.enter_async_context(open_central(config, Environment(hasher=HASHER)))
            verbs.update(CentralVerbs(central, reviewers, seed).verbs)
            return {"config": str(at / "central.toml"), "url": central.http_url}

        verbs: dict[str, Any] = {"open": open_}
        await serve(verbs)


if __name__ == "__main__":
    asyncio.run(main())
