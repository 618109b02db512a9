"""What is on the screen now, who watches it, and the touches that wait for the kiosk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from edge.adapters.screen.protocol import Refusal, Refused, State, Taken, decode_touch, encode, kind_of
from edge.enact.display import (
    AgeAnswered,
    AgreeByChosen,
    Agreed,
    ClaimEntered,
    ConsentAnswered,
    Display,
    EnrolBegun,
    Finished,
    HelpAsked,
    Notice,
    NotMe,
    OtherWayAsked,
    PinEntered,
    Prompt,
    SamplesAgain,
    Touch,
    WithdrawAsked,
    WithdrawConfirmed,
)

TOUCHES_MAX = 16
"""Touches the kiosk has not taken yet; a person makes a few a second and the kiosk takes them at once."""
WATCHERS_MAX = 4
"""Open pages: the kiosk's own, an attendant's, and two for pages that reload before the old one is gone."""

ASKED_FOR: dict[type[Touch], frozenset[Prompt]] = {
    ClaimEntered: frozenset(
        {
            Prompt.SHOW_CLAIM,
            Prompt.LOOK_OR_CLAIM,
            Prompt.LOOK_HERE,
            Prompt.ENTER_CLAIM,
            Prompt.CLAIM_NEEDED,
            Prompt.OTHER_WAY,
            Prompt.WITHDRAW_CLAIM,
        }
    ),
    PinEntered: frozenset({Prompt.ENTER_PIN, Prompt.ENROL_PIN, Prompt.ENROL_PIN_AGAIN, Prompt.WITHDRAW_PIN}),
    Agreed: frozenset({Prompt.AGREE}),
    AgreeByChosen: frozenset({Prompt.AGREE, Prompt.ENROL_AGREE_BY}),
    EnrolBegun: frozenset({Prompt.ENROL_WELCOME, Prompt.ENROL_CONSENT}),
    ConsentAnswered: frozenset({Prompt.ENROL_CONSENT}),
    AgeAnswered: frozenset({Prompt.ENROL_AGE}),
    WithdrawAsked: frozenset({Prompt.ENROL_WELCOME}),
    WithdrawConfirmed: frozenset({Prompt.WITHDRAW_CONFIRM}),
    SamplesAgain: frozenset({Prompt.ENROL_AGAIN}),
    Finished: frozenset(
        {
            Prompt.PAID,
            Prompt.NOT_CHARGED,
            Prompt.ENROL_DONE,
            Prompt.ENROL_UNDER_AGE,
            Prompt.ENROL_REFUSED,
            Prompt.WITHDRAWN,
        }
    ),
}
"""What may be typed, scanned or pressed under which prompts; a screen that moved on means somebody else."""
ALWAYS_ASKED_FOR = (NotMe, HelpAsked, OtherWayAsked)
"""One touch away whatever is shown."""


class Board:
    """The screen without its server: the newest state for every watcher, one bounded queue of touches.

    A full queue refuses the newest touch and says so, rather than dropping an older one: what a person was
    told is taken stays taken, and a burst cannot wash away a call for help.
    """

    def __init__(self, page: str) -> None:
        self._page = page
        self._display, self._notice = Display(Prompt.STARTING), Notice(None)
        self._serial = 0
        self._watchers: set[asyncio.Event] = set()
        self._touches: asyncio.Queue[Touch] = asyncio.Queue(TOUCHES_MAX)
        self._encoded = self._encode()

    @property
    def state(self) -> str:
        """The newest `State`, encoded."""
        return self._encoded

    @property
    def watching(self) -> int:
        """How many pages are open."""
        return len(self._watchers)

    def show(self, display: Display, notice: Notice) -> None:
        """Replace the state and wake the watchers; the same state again wakes nobody. Never waits."""
        if (display, notice) == (self._display, self._notice):
            return
        self._display, self._notice = display, notice
        self._serial += 1
        self._encoded = self._encode()
        for changed in self._watchers:
            changed.set()

    def renew(self, page: str) -> None:
        """Another page is served from now on; those that are open are told."""
        if page == self._page:
            return
        self._page = page
        self._serial += 1
        self._encoded = self._encode()
        for changed in self._watchers:
            changed.set()

    async def touch(self) -> Touch:
        """The oldest touch not taken yet; waits for one."""
        return await self._touches.get()

    def offer(self, text: str | bytes) -> str:
        """Put one message of a page into the queue; returns the encoded answer to it."""
        touch = decode_touch(text)
        if isinstance(touch, Refusal):
            return encode(Refused(touch))
        if not self._asked_for(touch):
            return encode(Refused(Refusal.NOT_NOW))
        try:
            self._touches.put_nowait(touch)
        except asyncio.QueueFull:
            return encode(Refused(Refusal.BUSY))
        return encode(Taken(kind_of(touch)))

    @contextmanager
    def watch(self) -> Iterator[asyncio.Event | None]:
        """An event set at each change, or None when `WATCHERS_MAX` pages are open."""
        if len(self._watchers) >= WATCHERS_MAX:
            yield None
            return
        changed = asyncio.Event()
        self._watchers.add(changed)
        try:
            yield changed
        finally:
            self._watchers.discard(changed)

    def _asked_for(self, touch: Touch) -> bool:
        """Whether the screen still asks for it: an answer to one that has moved on belongs to nobody."""
        if isinstance(touch, ALWAYS_ASKED_FOR):
            return True
        return self._display.prompt in ASKED_FOR[type(touch)]

    def _encode(self) -> str:
        return encode(State(self._serial, self._page, self._display, self._notice))
