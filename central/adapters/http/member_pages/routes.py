"""Members' pages: plain forms without scripts, in the member's language, behind no token.

There is no session and no cookie. What changes something needs a code that only its holder has, or a ticket
that was given to who had just proven theirs; so no other site can make somebody's browser do it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from central.adapters.http.member_pages.counter import Counter
from central.adapters.http.member_pages.forms import FormError
from central.adapters.http.member_pages.render import STATIC, Look, Templates, entries, fill, join
from central.adapters.http.member_pages.texts import Entry, Messages, read_messages
from central.adapters.http.member_pages.visit import (
    Visit,
    code_field,
    contest_field,
    form_page,
    look_of,
    pin_field,
    visit_of,
)
from central.errors import CentralError
from central.service.use_cases import UseCases
from wire.transport.routes import route

_FILES = {
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/fonts.css": ("fonts.css", "text/css; charset=utf-8"),
    **{f"/fonts/{path.name}": (f"fonts/{path.name}", "font/woff2") for path in STATIC.glob("fonts/*.woff2")},
}
_KEPT = {"Cache-Control": "public, max-age=300"}
_NAMED = {404: "wrong_method", 405: "wrong_method"}
"""Problems by status, where the code has no text of its own."""
_STATUS = {"too_many": 429, "unknown_contest": 404, "conflict": 409}
"""The status of a problem; all others are 422."""

Page = Callable[[Visit], Response]


@dataclass(frozen=True, slots=True)
class Form:
    """A page with a form: which fields it has, and what it leads to."""

    path: str
    entry: Callable[[Messages], Entry]
    fields: Callable[[Look, str | None], Markup]
    answer: Page

    def ask(self, visit: Visit) -> Response:
        """The empty form."""
        return self._page(visit, None, 200)

    def read(self, visit: Visit) -> Response:
        """What it leads to, or the form again with what is wrong."""
        try:
            return self.answer(visit)
        except FormError as error:
            return self._page(visit, error.problem, _STATUS.get(error.problem, 422))
        except CentralError:
            return self._page(visit, "conflict", _STATUS["conflict"])

    def _page(self, visit: Visit, problem: str | None, status: int) -> HTMLResponse:
        look = visit.look
        return form_page(
            look,
            self.path,
            entry=self.entry(look.words),
            fields=self.fields(look, problem),
            problem=problem,
            status=status,
        )


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages' routes, the paths that ask for no token, and how a refusal looks there."""

    routes: list[Route]
    paths: Collection[str]
    templates: Templates

    def refuse(self, scope: Scope, status: int, code: str) -> HTMLResponse:
        """A page that says what is wrong."""
        look = look_of(self.templates, scope)
        name = code if code in look.words.problem else _NAMED.get(status, "failed")
        start = Markup('\n<p><a href="{}">{}</a></p>').format(look.to("/"), look.words.common.start)
        title = look.words.problem[name].title
        content = Markup("<h1>{}</h1>").format(title) + look.problem(name) + start
        return look.page("/", title, content, status)


def make_pages(use_cases: UseCases) -> Pages:
    """The pages; raises ConfigError for a message file that is not complete."""
    templates = Templates.read(use_cases.context.operator, read_messages())
    routes: list[Route] = []
    counter = Counter(use_cases)

    def serve(method: str, path: str, page: Page) -> None:
        async def answer(request: Request) -> Response:
            return await run_in_threadpool(page, await visit_of(templates, request))

        routes.append(route(path, method, answer))

    for path, (name, kind) in _FILES.items():
        serve("GET", path, _file((STATIC / name).read_bytes(), kind))
    serve("GET", "/", lambda visit: _home(visit.look, use_cases))
    contest = Form("/contest", lambda words: words.contest, contest_field, counter.contest)
    withdraw = Form("/withdraw", lambda words: words.withdraw, _proof, counter.withdraw)
    why = Form("/why", lambda words: words.why, _proof, counter.why)
    receipts = Form("/receipts", lambda words: words.receipts, code_field, counter.receipts)
    for form in (contest, withdraw, why, receipts):
        serve("GET", form.path, form.ask)
        serve("POST", form.path, form.read)
    for path, form, answer in (
        ("/contest/note", contest, counter.note),
        ("/withdraw/confirm", withdraw, counter.confirm),
        ("/withdraw/heard", withdraw, counter.heard),
    ):
        later = Form(form.path, form.entry, form.fields, answer)
        serve("POST", path, later.read)
    return Pages(routes, frozenset(each.path for each in routes), templates)


def _file(content: bytes, kind: str) -> Page:
    return lambda _visit: Response(content, media_type=kind, headers=_KEPT)


def _proof(look: Look, problem: str | None) -> Markup:
    """The fields with which somebody shows who they are."""
    return code_field(look, problem) + pin_field(look, problem)


def _home(look: Look, use_cases: UseCases) -> Response:
    words = look.words
    title = fill(words.home.title, operator=look.templates.operator)
    pages = join(
        Markup('<li><a href="{}">{}</a><p>{}</p></li>').format(look.to(path), entry.title, entry.intro)
        for path, entry in entries(words)[1:]
    )
    cards = join(
        Markup('<li><a href="/v1/scorecards/{}/text" hreflang="en">{}</a></li>').format(
            purpose, fill(words.home.scorecard, purpose=purpose)
        )
        for purpose in sorted(use_cases.standings.purposes)
    )
    return look.page("/", title, look.part("home", title=title, pages=pages, scorecards=cards))
