"""What is on the screen now, who watches it, and the touches that wait for the kiosk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from edge.adapters.screen.protocol import Refusal, Refused, State, Taken, decode_touch, encode, kind_of
from edge.enact.display import ClaimEntered, Display, Notice, PinEntered, Prompt, Touch

TOUCHES_MAX = 16
"""Touches the kiosk has not taken yet; a person makes a few a second and the kiosk takes them at once."""
WATCHERS_MAX = 4
"""Open pages: the kiosk's own, an attendant's, and two for pages that reload before the old one is gone."""

CLAIM_PROMPTS = frozenset(
    {
        Prompt.SHOW_CLAIM,
        Prompt.LOOK_OR_CLAIM,
        Prompt.LOOK_HERE,
        Prompt.ENTER_CLAIM,
        Prompt.CLAIM_NEEDED,
        Prompt.OTHER_WAY,
    }
)
"""Where a claim may be typed, or read by a hand scanner that types."""


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
        """A PIN or a claim sent to a screen that has moved on belongs to nobody; the buttons always count."""
        match touch:
            case PinEntered():
                return self._display.prompt is Prompt.ENTER_PIN
            case ClaimEntered():
                return self._display.prompt in CLAIM_PROMPTS
            case _:
                return True

    def _encode(self) -> str:
        return encode(State(self._serial, self._page, self._display, self._notice))
