"""Members' cards and PINs: one that is changed or withdrawn while another try at it is being looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from central.app import Desk, Dice, init_central, load_config, open_desk
from central.rules.enrolment import Consent
from wire.claims import ClaimKind, claim_digest
from wire.ids import SubjectId
from wire.requests import PinOutcome

NOON_MS = 1_795_000_000_000


class SlowHasher(PasswordHasher):
    """An argon2id hasher in the middle of whose check something else happens, once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.meanwhile: Callable[[], object] | None = None

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002 - argon2's name
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        return super().verify(hash, password)


@pytest.fixture
def hasher() -> SlowHasher:
    return SlowHasher()


@pytest.fixture
def desk(tmp_path: Path, hasher: SlowHasher) -> Iterator[Desk]:
    config = init_central(tmp_path, "metro", "north", "ride")
    with open_desk(load_config(config), Dice(now_ms=lambda: NOON_MS, hasher=hasher)) as opened:
        yield opened


@pytest.fixture
def ada(desk: Desk) -> SubjectId:
    subject = desk.members.new_subject_id()
    desk.members.enrol(subject, None, Consent("2026-11", "en", NOON_MS))
    desk.members.set_pin(subject, "4711")
    return subject


def test_a_try_with_the_old_pin_does_not_undo_a_change_of_it(desk: Desk, hasher: SlowHasher, ada: SubjectId):
    hasher.meanwhile = lambda: desk.members.set_pin(ada, "9753")
    desk.members.check_pin(ada, "4711")
    assert desk.members.check_pin(ada, "9753").outcome is PinOutcome.RIGHT


def test_a_try_does_not_bring_back_the_pin_of_somebody_who_withdrew(
    desk: Desk, hasher: SlowHasher, ada: SubjectId, tmp_path: Path
):
    hasher.meanwhile = lambda: desk.members.withdraw(ada)
    desk.members.check_pin(ada, "4711")
    assert desk.members.check_pin(ada, "4711").outcome is PinOutcome.NO_PIN


def test_a_card_is_the_same_in_capitals_as_kiosks_read_it(desk: Desk, ada: SubjectId):
    read = claim_digest(desk.context.secrets.claim_key, ClaimKind.CARD, "AB12CD")
    assert desk.members.add_claim(ada, ClaimKind.CARD, "ab12cd") == read
