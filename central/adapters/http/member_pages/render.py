"""Pages out of templates. Whatever was not written by us is escaped as it is filled in, by markupsafe."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from central.adapters.http.member_pages.texts import Entry, Messages
from wire.currency import format_amount

STATIC = Path(__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Content-Language": "",  # filled in
}
NOTHING = Markup("")


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates by name, and what all pages share."""

    texts: dict[str, Markup]
    operator: str
    languages: dict[str, Messages]

    @staticmethod
    def read(operator: str, languages: dict[str, Messages]) -> Templates:
        """Read every template once."""
        texts = {path.stem: Markup(path.read_text("utf-8")) for path in STATIC.glob("*.html")}  # noqa: S704
        return Templates(texts, operator, languages)


@dataclass(frozen=True, slots=True)
class Look:
    """One page in one language; `chosen` is the language that somebody chose, to be kept in every link."""

    templates: Templates
    words: Messages
    chosen: str | None

    def to(self, path: str) -> str:
        """A link to a page of ours, in the chosen language."""
        return path if self.chosen is None else f"{path}?lang={self.chosen}"

    def part(self, name: str, /, **parts: object) -> Markup:
        """A template, filled in."""
        return self.templates.texts[name].format(t=self.words, start=self.to("/"), **parts)

    def page(self, path: str, title: str, content: Markup, status: int = 200) -> HTMLResponse:
        """A whole page; `path` is what the menu marks and the language links lead to."""
        languages = join(
            Markup('<li><a href="{}?lang={}" lang="{}" hreflang="{}"{}>{}</a></li>').format(
                path,
                code,
                code,
                code,
                _current(code == self.words.language),
                each.name,
            )
            for code, each in self.templates.languages.items()
        )
        menu = join(
            Markup('<li><a href="{}"{}>{}</a></li>').format(self.to(to), _current(to == path), entry.name)
            for to, entry in entries(self.words)
        )
        text = self.part(
            "layout",
            title=title,
            operator=self.templates.operator,
            languages=languages,
            menu=menu,
            content=content,
        )
        return HTMLResponse(text, status, HEADERS | {"Content-Language": self.words.language})

    def problem(self, name: str | None) -> Markup:
        """The box that says what is wrong; nothing when nothing is."""
        if name is None:
            return NOTHING
        return self.part("problem", problem=self.words.problem[name])

    def items(self, texts: Iterable[str | Markup]) -> Markup:
        """List items."""
        return join(Markup("<li>{}</li>").format(each) for each in texts)


def entries(words: Messages) -> tuple[tuple[str, Entry], ...]:
    """The pages in the menu, by path."""
    return (
        ("/", words.home),
        ("/why", words.why),
        ("/receipts", words.receipts),
        ("/contest", words.contest),
        ("/withdraw", words.withdraw),
    )


def _current(here: bool) -> Markup:
    return Markup(' aria-current="true"') if here else NOTHING


def join(parts: Iterable[Markup]) -> Markup:
    """Parts, one after the other."""
    return Markup("\n").join(parts)


def fill(text: str, /, **parts: object) -> Markup:
    """A sentence with its `{...}` filled in; both may hold what they like."""
    return escape(text).format(**parts)


def when(at_ms: int) -> Markup:
    """An instant, to the minute. Its order of digits is the same in every language and direction."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return Markup('<bdi dir="ltr"><time datetime="{}">{}</time></bdi>').format(
        f"{at:%Y-%m-%dT%H:%MZ}", f"{at:%Y-%m-%d %H:%M} UTC"
    )


def amount(minor: int, currency: str) -> Markup:
    """An amount; its order of digits is the same in every language and direction."""
    return Markup('<bdi dir="ltr">{}</bdi>').format(format_amount(minor, currency))
