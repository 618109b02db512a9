"""One request to a page: in which language, from where, and what was typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import Scope

from central.adapters.http.member_pages.forms import read_form
from central.adapters.http.member_pages.render import NOTHING, Look, Templates
from central.adapters.http.member_pages.texts import Entry, chosen

PIN_CHARS_MAX = 16
CODE_CHARS_MAX = 80
"""A code with its scheme, and a space after each pair."""
CONTEST_CHARS_MAX = 16


@dataclass(frozen=True, slots=True)
class Visit:
    """A request as the pages see it."""

    look: Look
    path: str
    address: str
    content_type: str
    body: bytes

    @property
    def fields(self) -> Mapping[str, str]:
        """What was typed; raises FormError."""
        return read_form(self.content_type, self.body)


def look_of(templates: Templates, scope: Scope) -> Look:
    """In which language a request is answered: the one chosen in the link, or the browser's."""
    asked = QueryParams(scope["query_string"]).get("lang")
    accepted = Headers(scope=scope).get("accept-language", "")
    words = chosen(asked, accepted, templates.languages)
    return Look(templates, words, words.language if asked == words.language else None)


async def visit_of(templates: Templates, request: Request) -> Visit:
    """Read a request, of a body that was bounded before."""
    return Visit(
        look_of(templates, request.scope),
        request.url.path,
        "" if request.client is None else request.client.host,
        request.headers.get("content-type", ""),
        await request.body(),
    )


def code_field(look: Look, problem: str | None = None) -> Markup:
    """The field for a member code; what was typed is not written back into the page."""
    words = look.words.common
    return _field(
        look, "code", label=words.code_label, hint=words.code_hint, longest=CODE_CHARS_MAX, problem=problem
    )


def pin_field(look: Look, problem: str | None = None) -> Markup:
    """The field for a PIN."""
    words = look.words.common
    more = Markup(' inputmode="numeric"')
    return _field(
        look,
        "pin",
        label=words.pin_label,
        hint=words.pin_hint,
        longest=PIN_CHARS_MAX,
        problem=problem,
        kind="password",
        more=more,
    )


def contest_field(look: Look, problem: str | None = None) -> Markup:
    """The field for a contest code."""
    words = look.words.contest
    return _field(
        look,
        "contest",
        label=words.code_label,
        hint=words.code_hint,
        longest=CONTEST_CHARS_MAX,
        problem=problem,
    )


_WRONG = {
    "code": ("malformed_code", "unproven"),
    "pin": ("malformed_pin", "unproven"),
    "contest": ("malformed_contest", "unknown_contest"),
}


def _field(
    look: Look,
    name: str,
    *,
    label: str,
    hint: str,
    longest: int,
    problem: str | None,
    kind: str = "text",
    more: Markup = NOTHING,
) -> Markup:
    wrong = problem in _WRONG[name]
    return look.part(
        "field",
        name=name,
        label=label,
        hint=hint,
        longest=longest,
        kind=kind,
        value="",
        described=" problem" if wrong else "",
        more=more + Markup(' aria-invalid="true"') if wrong else more,
    )


def form_page(
    look: Look, path: str, *, entry: Entry, fields: Markup, problem: str | None = None, status: int = 200
) -> HTMLResponse:
    """A page that asks for something, and says what was wrong with it the last time."""
    content = look.part(
        "form", entry=entry, action=look.to(path), fields=fields, problem=look.problem(problem)
    )
    title = entry.title if problem is None else f"{look.words.problem[problem].title} – {entry.title}"
    return look.page(path, title, content, status)
