"""HTTP routes of scorecards, contests, disputes and rulings. `public` asks for no token: members read it."""

from __future__ import annotations

from typing import Any

from starlette.responses import PlainTextResponse, Response

from central.adapters.http import bodies as b
from central.adapters.http.answers import changes
from central.errors import UnknownError
from central.rules.review import Case, Lifting, Ruling
from central.rules.scorecard import Scorecard, sentences
from central.service.reviews import History
from central.service.use_cases import UseCases
from wire.ids import ContestCode, Purpose
from wire.transport.routes import Routes, as_json


def needs_token(path: str) -> bool:
    """Whether a path is behind the token. A contest code is 40 random bits, and tells no more than it did."""
    return path not in ("/v1/pair", "/v1/scorecards") and not path.startswith(
        ("/v1/scorecards/", "/v1/contests/")
    )


def public(use_cases: UseCases) -> Routes:
    """What a member may read and do without anybody's leave."""
    routes = Routes()

    def card(purpose: str) -> Scorecard:
        found = use_cases.standings.scorecards.get(Purpose(purpose))
        if found is None:
            raise UnknownError("purpose", purpose)
        return found

    @routes.add("GET", "/scorecards")
    def scorecards() -> Any:
        return {
            "scorecards": [{"purpose": name, "version": each.version} for name, each in _cards(use_cases)]
        }

    @routes.add("GET", "/scorecards/{purpose}")
    def scorecard(purpose: b.SlugText) -> Response:
        return as_json(card(purpose))

    @routes.add("GET", "/scorecards/{purpose}/text")
    def scorecard_text(purpose: b.SlugText) -> Response:
        return PlainTextResponse("\n".join(sentences(card(purpose))) + "\n")

    @routes.add("GET", "/contests/{code}")
    def contest(code: b.ContestText) -> Any:
        return contested(use_cases.reviews.history(ContestCode(code)))

    @routes.add("POST", "/contests/{code}", status=201)
    @changes
    def contest_it(code: b.ContestText, body: b.CaseBody) -> Any:
        case = use_cases.reviews.contest(ContestCode(code), body.note)
        return {
            **contested(use_cases.reviews.history(ContestCode(code))),
            "decide_by_ms": use_cases.reviews.decide_by_ms(case),
        }

    return routes


def _cards(use_cases: UseCases) -> list[tuple[Purpose, Scorecard]]:
    return sorted(use_cases.standings.scorecards.items())


def contested(history: History) -> dict[str, Any]:
    """What the holder of a contest code is told: no name, no id of anybody."""
    restriction = history.held.restriction
    return {
        "contest_code": restriction.contest_code,
        "purpose": restriction.purpose,
        "reason": restriction.reason,
        "reason_text": restriction.reason_text,
        "issued_at_ms": restriction.issued_at_ms,
        "expires_at_ms": restriction.expires_at_ms,
        "binds": history.binds,
        "state": history.state,
        "contests": [_told(case) for case in history.cases],
    }


def _told(case: Case) -> dict[str, Any]:
    return {
        "number": case.number,
        "opened_at_ms": case.opened_at_ms,
        "note": case.note,
        "outcome": None if case.ruling is None else case.ruling.outcome.value,
        "ruling": None if case.ruling is None else case.ruling.note,
        "settled_at_ms": case.settled_at_ms,
    }


def as_fields(case: Case) -> dict[str, Any]:
    """A case as reviewers and staff see it."""
    return {
        "matter": case.matter.value,
        "target": case.target,
        "subject": case.subject,
        "purpose": case.purpose,
        "opened_by": case.opened_by,
        **_told(case),
        "settled_by": None if case.ruling is None else case.ruling.reviewer,
    }


def reviews(use_cases: UseCases) -> Routes:
    """Disputes, rulings, liftings, histories, behind the token; reviewers' words count by signature."""
    routes = Routes()

    @routes.add("GET", "/restrictions")
    def restrictions() -> Any:
        return [
            {
                **contested(history),
                "restriction_id": history.held.restriction.restriction_id,
                "subject": history.held.restriction.subject,
                "reviewers": history.held.restriction.reviewers,
            }
            for history in use_cases.reviews.histories()
        ]

    @routes.add("GET", "/cases")
    def cases() -> Any:
        return [as_fields(case) for case in use_cases.reviews.open_cases()]

    @routes.add("POST", "/events/{event_id}/dispute", status=201)
    @changes
    def dispute(event_id: b.EventText, body: b.CaseBody) -> Any:
        return as_fields(use_cases.reviews.dispute(event_id, body.note))

    @routes.add("POST", "/rulings", status=201)
    @changes
    def ruling(body: Ruling) -> Any:
        return as_fields(use_cases.reviews.settle(body))

    @routes.add("POST", "/liftings", status=201)
    @changes
    def lifting(body: Lifting) -> Any:
        use_cases.standings.lift_restriction(body)
        return {"lifted": body.restriction_id}

    return routes
