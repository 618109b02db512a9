"""The counter at which members are served: who they are is asked anew each time, and tries are counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from starlette.responses import HTMLResponse

from central.adapters.http.answers import changes
from central.adapters.http.member_pages import views
from central.adapters.http.member_pages.attempts import Attempts
from central.adapters.http.member_pages.forms import (
    FormError,
    claim_of,
    contest_of,
    note_of,
    pin_of,
    ticket_of,
)
from central.adapters.http.member_pages.render import NOTHING, fill
from central.adapters.http.member_pages.tickets import Step, Tickets
from central.adapters.http.member_pages.visit import Visit
from central.errors import ConflictError, RefusedError, UnknownError
from central.service.reviews import History
from central.service.use_cases import UseCases
from central.service.withdrawals import Reach
from wire.claims import ClaimKind, claim_digest
from wire.ids import ContestCode, SubjectId

WAITING_MAX = 8
"""PINs that wait to be checked: argon2id takes 64 MiB and tens of milliseconds each."""


class Counter:
    """What each form leads to. Methods raise FormError with the name of a problem."""

    def __init__(self, use_cases: UseCases) -> None:
        self._use_cases = use_cases
        self._attempts = Attempts()
        self._tickets = Tickets(use_cases.context.draw)
        self._waiting = threading.BoundedSemaphore(WAITING_MAX)
        self._one_pin = threading.Lock()

    @contextmanager
    def _attempt(self, visit: Visit) -> Iterator[None]:
        """One try of an address, given back when it was right; raises FormError."""
        if not self._attempts.take(visit.address, self._use_cases.context.now_ms()):
            raise FormError("too_many")
        yield
        self._attempts.give_back(visit.address)

    def _history(self, visit: Visit, code: ContestCode) -> History:
        with self._attempt(visit):
            try:
                return self._use_cases.reviews.history(code)
            except UnknownError:
                raise FormError("unknown_contest") from None

    def contest(self, visit: Visit) -> HTMLResponse:
        """Show what a contest code is about."""
        history = self._history(visit, contest_of(visit.fields))
        look = visit.look
        return look.page("/contest", look.words.contest.heading, views.contest(look, history))

    def note(self, visit: Visit) -> HTMLResponse:
        """Contest it."""
        fields, look = visit.fields, visit.look
        history = self._history(visit, contest_of(fields))
        code = history.held.restriction.contest_code
        try:
            case = changes(self._use_cases.reviews.contest)(code, note_of(fields))
        except (FormError, ConflictError, RefusedError) as error:
            problem = error.problem if isinstance(error, FormError) else "not_contested"
            status = 422 if isinstance(error, FormError) else 409
            now = self._use_cases.reviews.history(code)
            content = views.contest(look, now, problem, fields.get("note", ""))
            return look.page("/contest", look.words.problem[problem].title, content, status)
        now = self._use_cases.reviews.history(code)
        content = views.contested(look, now, self._use_cases.reviews.decide_by_ms(case))
        return look.page("/contest", look.words.contest.sent, content)

    def _proven(self, visit: Visit) -> SubjectId:
        claim, pin = claim_of(visit.fields), pin_of(visit.fields)
        with self._attempt(visit):
            if not self._waiting.acquire(blocking=False):
                raise FormError("too_many")
            try:
                with self._one_pin:
                    subject = self._use_cases.visits.proven(claim, pin)
            finally:
                self._waiting.release()
            if subject is None:
                raise FormError("unproven")
        return subject

    def why(self, visit: Visit) -> HTMLResponse:
        """Show what is known of a member."""
        known, look = self._use_cases.visits.account(self._proven(visit)), visit.look
        return look.page("/why", look.words.why.heading, views.account(look, known))

    def receipts(self, visit: Visit) -> HTMLResponse:
        """Show what was charged to a code's holder; nobody's shows what that of a new member does."""
        digest = claim_digest(self._use_cases.context.secrets.claim_key, ClaimKind.QR, claim_of(visit.fields))
        look, found = visit.look, None
        if not self._attempts.take(visit.address, self._use_cases.context.now_ms()):
            raise FormError("too_many")
        with suppress(UnknownError):
            found = self._use_cases.ledger.receipts(digest)
            self._attempts.give_back(visit.address)
        return look.page("/receipts", look.words.receipts.heading, views.receipts(look, found))

    def withdraw(self, visit: Visit) -> HTMLResponse:
        """Say what withdrawing means, and give a ticket to confirm it with."""
        subject, look = self._proven(visit), visit.look
        ticket = self._tickets.give(Step.WITHDRAW, subject, self._use_cases.context.now_ms())
        days = self._use_cases.retention.withdrawn_days
        words = look.words.withdraw
        content = look.part(
            "withdraw",
            consequences=look.items(fill(each, days=days) for each in words.consequences),
            action=look.to("/withdraw/confirm"),
            ticket=ticket,
        )
        return look.page("/withdraw", words.heading, content)

    def confirm(self, visit: Visit) -> HTMLResponse:
        """Withdraw."""
        subject = self._ticket(visit, Step.WITHDRAW)
        changes(self._use_cases.members.withdraw)(subject)
        return self._withdrawn(visit, subject)

    def heard(self, visit: Visit) -> HTMLResponse:
        """Say again how many kiosks know of it."""
        return self._withdrawn(visit, self._ticket(visit, Step.HEARD))

    def _withdrawn(self, visit: Visit, subject: SubjectId) -> HTMLResponse:
        look, words = visit.look, visit.look.words.withdraw
        progress = self._use_cases.withdrawals.progress(subject)
        reached, everywhere = progress.count(Reach.REACHED), len(progress.kiosks)
        again = NOTHING
        if reached < everywhere:
            ticket = self._tickets.give(Step.HEARD, subject, self._use_cases.context.now_ms())
            again = look.part("again", action=look.to("/withdraw/heard"), ticket=ticket)
        heard = words.heard_all if reached == everywhere else words.heard
        content = look.part("withdrawn", heard=fill(heard, heard=reached, all=everywhere), again=again)
        return look.page("/withdraw", words.done, content)

    def _ticket(self, visit: Visit, step: Step) -> SubjectId:
        subject = self._tickets.use(ticket_of(visit.fields), step, self._use_cases.context.now_ms())
        if subject is None:
            raise FormError("late")
        return subject
