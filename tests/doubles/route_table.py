"""Every route of every server, and who may call it. A route that is not here fails the build."""

from __future__ import annotations

from enum import StrEnum

from starlette.applications import Starlette
from starlette.routing import Route

SUBJECT, CONTEST = "1" * 32, "K7PD-2MXW"


class Caller(StrEnum):
    """Who gets further than a refusal."""

    ANYBODY = "anybody"  # what they may do needs a code of theirs, or is published
    OPERATOR = "operator"  # the bearer token of keys/api.token
    TILL = "till"  # the bearer token of the kiosk's till.token
    OWN_PAGE = "own page"  # a page that this loopback server gave out: by Host, WebSockets by Origin too


ANY, OPS, TILL, OWN = Caller.ANYBODY, Caller.OPERATOR, Caller.TILL, Caller.OWN_PAGE

FONTS = ("noto-sans-400", "noto-sans-700", "noto-sans-arabic-400", "noto-sans-arabic-700", "noto-sans-sc-400",
         "noto-sans-sc-700")  # fmt: skip
FONT_FILES = ("/fonts.css", *(f"/fonts/{name}.woff2" for name in FONTS))

CENTRAL: dict[tuple[str, str], Caller] = {
    **{("GET", path): ANY for path in FONT_FILES},
    ("GET", "/"): ANY,
    ("GET", "/page.css"): ANY,
    ("GET", "/icon.svg"): ANY,
    ("GET", "/contest"): ANY,
    ("POST", "/contest"): ANY,  # a contest code
    ("POST", "/contest/note"): ANY,  # a contest code
    ("GET", "/withdraw"): ANY,
    ("POST", "/withdraw"): ANY,  # member code and PIN
    ("POST", "/withdraw/confirm"): ANY,  # a ticket
    ("POST", "/withdraw/heard"): ANY,  # a ticket
    ("GET", "/why"): ANY,
    ("POST", "/why"): ANY,  # member code and PIN
    ("GET", "/receipts"): ANY,
    ("POST", "/receipts"): ANY,  # member code
    ("POST", "/v1/pair"): ANY,  # a pairing code, proven
    ("GET", "/v1/scorecards"): ANY,
    ("GET", "/v1/scorecards/{purpose}"): ANY,
    ("GET", "/v1/scorecards/{purpose}/text"): ANY,
    ("GET", "/v1/contests/{code}"): ANY,
    ("POST", "/v1/contests/{code}"): ANY,
    ("GET", "/v1/openapi.json"): OPS,
    ("POST", "/v1/subjects"): OPS,
    ("PUT", "/v1/subjects/{subject}/template"): OPS,
    ("DELETE", "/v1/subjects/{subject}"): OPS,
    ("GET", "/v1/subjects/{subject}/withdrawal"): OPS,
    ("POST", "/v1/subjects/{subject}/claims"): OPS,
    ("PUT", "/v1/subjects/{subject}/pin"): OPS,
    ("POST", "/v1/subjects/{subject}/pin/unlock"): OPS,
    ("POST", "/v1/subjects/{subject}/events"): OPS,
    ("GET", "/v1/subjects/{subject}/standing/{purpose}"): OPS,
    ("POST", "/v1/restrictions"): OPS,
    ("POST", "/v1/liftings"): OPS,
    ("GET", "/v1/restrictions"): OPS,
    ("GET", "/v1/cases"): OPS,
    ("POST", "/v1/events/{event_id}/dispute"): OPS,
    ("POST", "/v1/rulings"): OPS,
    ("POST", "/v1/kiosks"): OPS,
    ("GET", "/v1/kiosks"): OPS,
    ("DELETE", "/v1/kiosks/{kiosk}"): OPS,
    ("GET", "/v1/subjects/{subject}/balance"): OPS,
    ("POST", "/v1/ledger/top-ups"): OPS,
    ("POST", "/v1/ledger/refunds"): OPS,
    ("POST", "/v1/ledger/settlements"): OPS,
    ("POST", "/v1/kiosks/{kiosk}/commands"): OPS,
    ("GET", "/v1/commands/{nonce}"): OPS,
    ("GET", "/v1/kiosks/{kiosk}/settings"): OPS,
    ("PATCH", "/v1/kiosks/{kiosk}/settings"): OPS,
    ("GET", "/v1/passages/{passage}"): OPS,
    ("GET", "/v1/audit"): OPS,
    ("GET", "/v1/state"): OPS,
}
SCREEN: dict[tuple[str, str], Caller] = {
    **{("GET", path): OWN for path in FONT_FILES},
    ("GET", "/"): OWN,
    ("GET", "/screen.css"): OWN,
    ("GET", "/screen.js"): OWN,
    ("GET", "/messages.json"): OWN,
    ("GET", "/icon.svg"): OWN,
    ("WEBSOCKET", "/live"): OWN,
    ("WEBSOCKET", "/preview"): OWN,
    ("WEBSOCKET", "/camera"): OWN,
}
TILLS: dict[tuple[str, str], Caller] = {
    **{("GET", path): ANY for path in FONT_FILES},
    ("GET", "/till"): ANY,
    ("GET", "/till.js"): ANY,
    ("GET", "/till.css"): ANY,
    ("GET", "/openapi.json"): ANY,
    ("POST", "/checkouts"): TILL,
    ("GET", "/checkouts/{checkout}"): TILL,
    ("POST", "/checkouts/{checkout}/cancel"): TILL,
    ("POST", "/checkouts/{checkout}/refund"): TILL,
}
FILLED = {
    "checkout": "5" * 32,
    "subject": SUBJECT,
    "purpose": "ride",
    "code": CONTEST,
    "restriction_id": "2" * 32,
    "event_id": "fare-1",
    "kiosk": "gate-1",
    "nonce": "3" * 32,
    "passage": "4" * 32,
}
"""What stands in the place of a path's parts."""


def routes_of(app: Starlette) -> set[tuple[str, str]]:
    """The routes an application has in fact."""
    return {
        (method, str(getattr(route, "path", "")))
        for route in app.routes
        for method in ((route.methods or set()) if isinstance(route, Route) else {"WEBSOCKET"}) - {"HEAD"}
    }


def targets(table: dict[tuple[str, str], Caller]) -> list[tuple[str, str, Caller]]:
    """Method, path with its parts filled in, and caller of each line."""
    return [(method, path.format_map(FILLED), caller) for (method, path), caller in table.items()]
