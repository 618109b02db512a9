"""What the pages show of restrictions, standings and passages."""

from __future__ import annotations

from markupsafe import Markup, escape

from central.adapters.http.member_pages.render import NOTHING, Look, amount, fill, join, when
from central.rules.ledger import Charge, State
from central.rules.review import CASES_MAX, Case, Outcome
from central.service.ledger import Receipts
from central.service.reviews import History
from central.service.standings import Explanation
from central.service.visits import PASSAGES_TOLD, RECORDS_LOOKED_AT, Account
from wire.records import PassRecord
from wire.values import Tier


def contest(look: Look, history: History, problem: str | None = None, typed: str = "") -> Markup:
    """What the holder of a contest code may know, and the form to object where one may."""
    restriction, words = history.held.restriction, look.words
    note: Markup = NOTHING
    if history.binds and not any(case.open for case in history.cases) and len(history.cases) < CASES_MAX:
        wrong = problem == "note_needed"
        note = look.part(
            "note",
            action=look.to("/contest/note"),
            code=restriction.contest_code,
            value=typed,
            described=" problem" if wrong else "",
            more=Markup(' aria-invalid="true"') if wrong else NOTHING,
        )
    return look.part(
        "contest",
        problem=look.problem(problem),
        code=restriction.contest_code,
        said=restriction.reason_text,
        purpose=restriction.purpose,
        state=words.state[history.state],
        since=when(restriction.issued_at_ms),
        until=when(restriction.expires_at_ms),
        by=fill(words.contest.by, operator=look.templates.operator),
        cases=_cases(look, history.cases),
        note=note,
    )


def contested(look: Look, history: History, decide_by_ms: int) -> Markup:
    """That an objection was received."""
    decide_by = fill(look.words.contest.decide_by, when=when(decide_by_ms))
    return look.part("contested", decide_by=decide_by, cases=_cases(look, history.cases))


def _cases(look: Look, cases: tuple[Case, ...]) -> Markup:
    if not cases:
        return NOTHING
    words = look.words.contest
    told = []
    for case in cases:
        heading = fill(words.case, number=case.number)
        ruled: str | Markup = words.case_open
        if case.ruling is not None:
            struck = case.ruling.outcome is Outcome.STRUCK
            text = words.case_struck if struck else words.case_upheld
            ruled = fill(text, note=_quoted(case.ruling.note))
        told.append(
            Markup("<h3>{} – {}</h3><blockquote>{}</blockquote><p>{}</p>").format(
                heading, when(case.opened_at_ms), _quoted(case.note), ruled
            )
        )
    return Markup("<h2>{}</h2>").format(words.cases) + join(told)


def _quoted(text: str) -> Markup:
    """What somebody wrote, in whatever language and direction it is."""
    return Markup('<bdi dir="auto">{}</bdi>').format(text)


def account(look: Look, known: Account) -> Markup:
    """All that is known of a member."""
    words = look.words.why
    passages: Markup = Markup("<p>{}</p>").format(words.no_passages)
    if known.passages:
        listed = join(_passage(look, each) for each in known.passages)
        passages = Markup('<ol class="passages">{}</ol>').format(listed)
        if len(known.passages) == PASSAGES_TOLD:
            more = fill(look.words.common.and_more, count=PASSAGES_TOLD)
            passages += Markup('<p class="hint">{}</p>').format(more)
    return look.part(
        "why",
        standings=join(_standing(look, each) for each in known.standings),
        passages=passages,
        looked_at=fill(words.looked_at, count=RECORDS_LOOKED_AT),
    )


def _standing(look: Look, explained: Explanation) -> Markup:
    words, standing = look.words.why, explained.standing
    restrictions = join(
        look.part(
            "restriction",
            action=look.to("/contest"),
            code=each.contest_code,
            text=fill(words.restriction, until=when(each.expires_at_ms), text=_quoted(each.reason_text)),
        )
        for each in standing.restrictions
    )
    factors = [
        Markup("{} <bdi>({})</bdi>").format(
            _quoted(each.text), fill(look.words.common.points, points=f"{each.points:+d}")
        )
        for each in standing.factors
    ]
    if explained.events_disputed:
        factors.append(fill(words.disputed, count=explained.events_disputed))
    listed = Markup("<ul>{}</ul>").format(look.items(factors))
    tier = look.words.tier.get(Tier(standing.tier)) if standing.tier in set(map(str, Tier)) else None
    return look.part(
        "standing",
        heading=fill(words.standing, purpose=Markup("<bdi>{}</bdi>").format(standing.purpose)),
        score=fill(words.score, score=standing.score),
        tier=tier or standing.tier,
        valid=fill(words.valid, issued=when(standing.issued_at_ms), until=when(standing.expires_at_ms)),
        restrictions=restrictions,
        factors=listed if factors else Markup("<p>{}</p>").format(words.no_factors),
    )


def _passage(look: Look, record: PassRecord) -> Markup:
    words = look.words
    reasons = [words.reason.get(code) or fill(words.why.unknown_reason, code=code) for code in record.reasons]
    way: Markup = NOTHING
    if record.identified_by is not None:
        way = Markup(", {}").format(words.way[record.identified_by])
    return look.part(
        "passage",
        when=when(record.started_at_ms),
        verdict=words.verdict[record.verdict],
        kiosk=record.kiosk,
        purpose=record.purpose,
        way=way,
        reasons=look.items(reasons),
        gate=words.gate.get(record.gate_outcome, ""),
    )


def receipts(look: Look, found: Receipts | None) -> Markup:
    """Balances and charges, newest first; the same for nobody's code and for who was never charged."""
    words = look.words.receipts
    if found is None or not (found.balances or found.charges):
        return look.part("receipts", balances=Markup("<p>{}</p>").format(words.none), charges=NOTHING)
    told = []
    for each in found.balances:
        told.append(fill(words.balance, amount=amount(each.stored_minor, each.currency)))
        if each.debt_minor:
            told.append(fill(words.debt, amount=amount(each.debt_minor, each.currency)))
    charges = Markup('<ol class="passages">{}</ol>').format(
        join(_charge(look, each) for each in found.charges)
    )
    if found.more:
        more = fill(look.words.common.and_more, count=len(found.charges))
        charges += Markup('<p class="hint">{}</p>').format(more)
    return look.part(
        "receipts",
        balances=join(Markup("<p>{}</p>").format(each) for each in told),
        charges=charges,
    )


def _charge(look: Look, charge: Charge) -> Markup:
    words = look.words.receipts
    text = words.fare if charge.merchant is None else words.payment
    what = fill(text, kiosk=_quoted(charge.kiosk), merchant=_quoted(charge.merchant or ""))
    if charge.reference:
        what += Markup(" – {}").format(_quoted(charge.reference))
    lines = [Markup("<strong>{}</strong>").format(amount(charge.amount_minor, charge.currency)), what]
    if charge.refunded_minor:
        lines.append(fill(words.refunded, amount=amount(charge.refunded_minor, charge.currency)))
    if charge.state is not State.STANDS:
        lines.append(escape(words.reversed))
    listed = join(Markup("<p>{}</p>").format(each) for each in lines)
    return Markup("<li><h3>{}</h3>{}</li>").format(when(charge.at_ms), listed)
