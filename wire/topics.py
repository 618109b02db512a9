"""The one table of MQTT topics: who sends, at which quality of service, retained or not, and how large."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wire import ids
from wire.errors import MalformedIdError
from wire.ids import GalleryName, KioskId, Purpose, SiteId
from wire.values import Role

ROOT = "stile/v1"
TOPIC_MAX_CHARS = 160
"""Five slugs and the fixed levels."""

_KIB = 1024
LARGEST_MESSAGE_BYTES = 320 * _KIB
"""What a broker must be set to carry: the largest `max_bytes` below."""
PACKET_MAX_BYTES = LARGEST_MESSAGE_BYTES + TOPIC_MAX_CHARS + 512
"""The largest MQTT packet: message, topic and properties."""


class TopicKind(StrEnum):
    """The kinds of topic; the value is the pattern below `stile/v1/{site}/`."""

    STATE = "kiosk/{}/state"
    HEALTH = "kiosk/{}/health"
    RECORD = "kiosk/{}/record"
    RECEIPT = "kiosk/{}/receipt"
    REQUEST = "kiosk/{}/request"
    REPLY = "kiosk/{}/reply"
    COMMAND = "kiosk/{}/command"
    DESIRED = "kiosk/{}/desired"
    REPORTED = "kiosk/{}/reported"
    STANDING_HEAD = "standing/{}/head"
    STANDING_DELTA = "standing/{}/delta"
    GALLERY_HEAD = "gallery/{}/head"
    GALLERY_DELTA = "gallery/{}/delta"
    ROLL_CALL = "central/roll-call"


@dataclass(frozen=True, slots=True)
class TopicRule:
    """What holds for every message on a kind of topic."""

    sender: Role
    qos: int
    retained: bool
    max_bytes: int


RULES: dict[TopicKind, TopicRule] = {
    TopicKind.STATE: TopicRule(Role.KIOSK, 1, True, 8 * _KIB),
    TopicKind.HEALTH: TopicRule(Role.KIOSK, 0, False, 8 * _KIB),
    TopicKind.RECORD: TopicRule(Role.KIOSK, 1, False, 256 * _KIB),
    TopicKind.RECEIPT: TopicRule(Role.CENTRAL, 1, False, 1 * _KIB),
    TopicKind.REQUEST: TopicRule(Role.KIOSK, 1, False, 8 * _KIB),
    TopicKind.REPLY: TopicRule(Role.CENTRAL, 1, False, LARGEST_MESSAGE_BYTES),
    TopicKind.COMMAND: TopicRule(Role.CENTRAL, 1, False, 1 * _KIB),
    TopicKind.DESIRED: TopicRule(Role.CENTRAL, 1, True, 8 * _KIB),
    TopicKind.REPORTED: TopicRule(Role.KIOSK, 1, True, 8 * _KIB),
    TopicKind.STANDING_HEAD: TopicRule(Role.CENTRAL, 1, True, LARGEST_MESSAGE_BYTES),
    TopicKind.STANDING_DELTA: TopicRule(Role.CENTRAL, 1, False, 256 * _KIB),
    TopicKind.GALLERY_HEAD: TopicRule(Role.CENTRAL, 1, True, LARGEST_MESSAGE_BYTES),
    TopicKind.GALLERY_DELTA: TopicRule(Role.CENTRAL, 1, False, 256 * _KIB),
    TopicKind.ROLL_CALL: TopicRule(Role.CENTRAL, 1, False, 1 * _KIB),
}
_KINDS = {tuple(kind.value.split("/")): kind for kind in TopicKind}


@dataclass(frozen=True, slots=True)
class Address:
    """A topic: its kind, site, and the kiosk, purpose or gallery it is about (empty for the roll-call)."""

    kind: TopicKind
    site: SiteId
    name: str = ""

    @property
    def rule(self) -> TopicRule:
        """The rule of this kind of topic."""
        return RULES[self.kind]

    @property
    def topic(self) -> str:
        """The topic as MQTT has it."""
        return f"{ROOT}/{self.site}/{self.kind.value.format(self.name)}"


def kiosk_topic(kind: TopicKind, site: SiteId, kiosk: KioskId) -> Address:
    """One of a kiosk's topics."""
    return Address(kind, site, kiosk)


def standing_head(site: SiteId, purpose: Purpose) -> Address:
    """Where the head of a purpose's standings is."""
    return Address(TopicKind.STANDING_HEAD, site, purpose)


def standing_delta(site: SiteId, purpose: Purpose) -> Address:
    """Where changes of a purpose's standings are told."""
    return Address(TopicKind.STANDING_DELTA, site, purpose)


def gallery_head(site: SiteId, gallery: GalleryName) -> Address:
    """Where the head of a gallery is."""
    return Address(TopicKind.GALLERY_HEAD, site, gallery)


def gallery_delta(site: SiteId, gallery: GalleryName) -> Address:
    """Where changes of a gallery are told."""
    return Address(TopicKind.GALLERY_DELTA, site, gallery)


def roll_call(site: SiteId) -> Address:
    """Where central calls its kiosks."""
    return Address(TopicKind.ROLL_CALL, site)


def parse_topic(topic: str) -> Address | None:
    """The address of a topic, or None when it is none of ours."""
    if len(topic) > TOPIC_MAX_CHARS or not topic.startswith(f"{ROOT}/"):
        return None
    site, *levels = topic.removeprefix(f"{ROOT}/").split("/")
    try:
        ids.parse_site_id(site)
        if (kind := _KINDS.get(tuple(levels))) is not None:
            return None if "{}" in kind.value else Address(kind, SiteId(site))
        if len(levels) != 3 or (kind := _KINDS.get((levels[0], "{}", levels[2]))) is None:
            return None
        return Address(kind, SiteId(site), ids.parse_kiosk_id(levels[1]))
    except MalformedIdError:
        return None


def every(kind: TopicKind, site: SiteId) -> str:
    """The subscription filter for a kind of topic across a site's kiosks, purposes or galleries."""
    return f"{ROOT}/{site}/{kind.value.format('+')}"
