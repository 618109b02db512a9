"""Members' cards and PINs: one that is changed or withdrawn while another try at it is being looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from central.app import UseCases, init_central, load_config, open_use_cases
from central.rules.enrolment import Consent
from wire.claims import ClaimKind, claim_digest
from wire.environment import Environment
from wire.ids import SubjectId
from wire.requests import PinOutcome

NOON_MS = 1_795_000_000_000


class SlowHasher(PasswordHasher):
    """An argon2id hasher in the middle of whose check something else happens, once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.meanwhile: Callable[[], object] | None = None

    def verify(self, hash: str | bytes, password: str | bytes):  # noqa: A002 - argon2's name
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        return super().verify(hash, password)


@pytest.fixture
def hasher() -> SlowHasher:
    return SlowHasher()


@pytest.fixture
def use_cases(tmp_path: Path, hasher: SlowHasher) -> Iterator[UseCases]:
    config = init_central(tmp_path, "metro", "north", "ride")
    with open_use_cases(load_config(config), Environment(utc_ms=lambda: NOON_MS, hasher=hasher)) as opened:
        yield opened


@pytest.fixture
def ada(use_cases: UseCases) -> SubjectId:
    subject = use_cases.members.new_subject_id()
    use_cases.members.enrol(subject, None, Consent("2026-11", "en", NOON_MS))
    use_cases.members.set_pin(subject, "4711")
    return subject


def test_a_try_with_the_old_pin_does_not_undo_a_change_of_it(
    use_cases: UseCases, hasher: SlowHasher, ada: SubjectId
):
    hasher.meanwhile = lambda: use_cases.members.set_pin(ada, "9753")
    use_cases.members.check_pin(ada, "4711")
    assert use_cases.members.check_pin(ada, "9753").outcome is PinOutcome.RIGHT


def test_a_try_does_not_bring_back_the_pin_of_somebody_who_withdrew(
    use_cases: UseCases, hasher: SlowHasher, ada: SubjectId, tmp_path: Path
):
    hasher.meanwhile = lambda: use_cases.members.withdraw(ada)
    use_cases.members.check_pin(ada, "4711")
    assert use_cases.members.check_pin(ada, "4711").outcome is PinOutcome.NO_PIN


def test_a_card_is_the_same_in_capitals_as_kiosks_read_it(use_cases: UseCases, ada: SubjectId):
    read = claim_digest(use_cases.context.secrets.claim_key, ClaimKind.CARD, "AB12CD")
    assert use_cases.members.add_claim(ada, ClaimKind.CARD, "ab12cd") == read
