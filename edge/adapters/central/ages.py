"""How old a kiosk's caches are, and what that means here."""

from __future__ import annotations

from edge.adapters.central.clock import Clock
from edge.adapters.storage.cache import Cache, FeedName
from edge.decide.standing import AHEAD_MAX_MS, StandingConfig, age_of
from edge.decide.verdict import Age
from wire.fleet import CacheAge
from wire.ids import ReasonCode


class CacheAges:
    """The age of each cache by the kiosk's clock, judged by the limits of its configuration."""

    def __init__(self, cache: Cache, clock: Clock, config: StandingConfig) -> None:
        self._cache, self._clock, self._config = cache, clock, config

    def of(self, feed: FeedName) -> CacheAge:
        """How old a cache is, and what that means here."""
        held, now_ms = self._cache.held(feed), self._clock.now_ms()
        if held is None:
            return CacheAge(feed.value, 0, 0, None, ReasonCode(Age.ABSENT))
        if now_ms is None or held.issued_at_ms - now_ms > AHEAD_MAX_MS:
            return CacheAge(feed.value, held.epoch, held.version, None, ReasonCode(Age.CLOCK_UNSURE))
        age_ms = max(now_ms - held.issued_at_ms, 0)
        config = self._config
        limits_s = (config.fresh_s, config.grace_s)
        if feed is FeedName.GALLERY:
            limits_s = (config.gallery_fresh_s, config.gallery_grace_s)
        means = age_of(age_ms, *limits_s)
        return CacheAge(feed.value, held.epoch, held.version, age_ms, ReasonCode(means))
