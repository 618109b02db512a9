"""What the HTTP API takes in: every field bounded, every unknown one refused."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from central.rules.scorecard import EVENT_PATTERN, INCIDENT_PATTERN, EventKind, EventOutcome
from central.service.commands import LIFE_DEFAULT_S, LIFE_MAX_S
from wire import ids
from wire.claims import ClaimKind
from wire.fields import INSTANT_MAX_MS, SETTING_MAX, TEXT_MAX
from wire.fleet import SETTINGS_MAX, CommandAction
from wire.values import IMAGES_MAX, AgreeBy

SlugText = Annotated[str, Meta(pattern=ids.SLUG_PATTERN, max_length=ids.SLUG_MAX)]
TokenText = Annotated[str, Meta(pattern=ids.TOKEN_PATTERN, max_length=ids.TOKEN_CHARS)]
InstantMs = Annotated[int, Meta(ge=0, le=INSTANT_MAX_MS)]
SettingText = Annotated[str, Meta(max_length=SETTING_MAX)]
ContestText = Annotated[str, Meta(pattern=ids.CONTEST_PATTERN, max_length=9)]
EventText = Annotated[str, Meta(pattern=EVENT_PATTERN, max_length=64)]
SEALED_MAX = 4096


class ConsentBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the member agreed to."""

    text_version: Annotated[str, Meta(min_length=1, max_length=16)]
    language: Annotated[str, Meta(min_length=2, max_length=8)]
    at_ms: InstantMs


class TemplateBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The template that a kiosk made and sealed."""

    sealed: Annotated[bytes, Meta(max_length=SEALED_MAX)]
    key_version: Annotated[int, Meta(ge=1, le=2**31)]
    recipe_digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", max_length=64)]
    images: Annotated[int, Meta(ge=1, le=IMAGES_MAX)]


class EnrolBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A subject, with a template unless they would rather use another way."""

    subject: TokenText
    template: TemplateBody | None = None
    consent: ConsentBody
    agree_by: AgreeBy = AgreeBy.BUTTON


class EnrolAgainBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A member's new template, and what they agreed to."""

    template: TemplateBody
    consent: ConsentBody


class ClaimBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A card number or phone digits; a QR claim has no text, central draws it."""

    kind: ClaimKind
    text: Annotated[str, Meta(max_length=32)] = ""


class PinBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A PIN to set."""

    pin: Annotated[str, Meta(min_length=4, max_length=12)]


class EventBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An event to count for one purpose."""

    event_id: EventText
    purpose: SlugText
    kind: EventKind
    outcome: EventOutcome
    at_ms: InstantMs
    incident: Annotated[str, Meta(pattern=INCIDENT_PATTERN, max_length=64)] | None = None


class CaseBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is wrong with an event or restriction, in a sentence for the reviewer."""

    note: Annotated[str, Meta(min_length=1, max_length=TEXT_MAX)]


class CommandBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An order for a kiosk, good for so many seconds."""

    action: CommandAction
    staff: SlugText
    for_s: Annotated[int, Meta(ge=1, le=LIFE_MAX_S)] = LIFE_DEFAULT_S


class SettingsBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A kiosk's desired settings by key; null takes one back."""

    settings: Annotated[dict[SettingText, SettingText | None], Meta(min_length=1, max_length=SETTINGS_MAX)]


class KioskBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A kiosk to add."""

    kiosk: SlugText
    purpose: SlugText
    enrols: bool = False
