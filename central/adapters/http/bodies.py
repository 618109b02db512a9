"""What the HTTP API takes in: every field bounded, every unknown one refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from central.rules.scorecard import EVENT_PATTERN, INCIDENT_PATTERN, EventKind, EventOutcome
from central.service.commands import LIFE_DEFAULT_S, LIFE_MAX_S
from wire import ids
from wire.claims import ClaimKind
from wire.fields import INSTANT_MAX_MS, SETTING_MAX, TEXT_MAX
from wire.fleet import SETTINGS_MAX, CommandAction
from wire.values import IMAGES_MAX, AgreeBy

# pydantic's regular expressions are Rust's, in which \z ends the text.
SLUG_REGEX = ids.SLUG_PATTERN.replace(r"\Z", r"\z")
TOKEN_REGEX = ids.TOKEN_PATTERN.replace(r"\Z", r"\z")

CONTEST_REGEX = ids.CONTEST_PATTERN.replace(r"\Z", r"\z")
EVENT_REGEX = EVENT_PATTERN.replace(r"\Z", r"\z")
INCIDENT_REGEX = INCIDENT_PATTERN.replace(r"\Z", r"\z")

SlugText = Annotated[str, Field(pattern=SLUG_REGEX, max_length=ids.SLUG_MAX)]
TokenText = Annotated[str, Field(pattern=TOKEN_REGEX, max_length=ids.TOKEN_CHARS)]
InstantMs = Annotated[int, Field(ge=0, le=INSTANT_MAX_MS, strict=True)]
SettingText = Annotated[str, Field(max_length=SETTING_MAX)]
SEALED_BASE64_MAX = 5464
"""4,096 bytes in base64."""


class Body(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ConsentBody(Body):
    """What the member agreed to."""

    text_version: Annotated[str, Field(min_length=1, max_length=16)]
    language: Annotated[str, Field(min_length=2, max_length=8)]
    at_ms: InstantMs


class TemplateBody(Body):
    """The template that a kiosk made and sealed."""

    sealed: Annotated[Base64Bytes, Field(max_length=SEALED_BASE64_MAX)]
    key_version: Annotated[int, Field(ge=1, le=2**31, strict=True)]
    recipe_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}\z", max_length=64)]
    images: Annotated[int, Field(ge=1, le=IMAGES_MAX, strict=True)]


class EnrolBody(Body):
    """A subject, with a template unless they would rather use another way."""

    subject: TokenText
    template: TemplateBody | None = None
    consent: ConsentBody
    agree_by: AgreeBy = AgreeBy.BUTTON


class EnrolAgainBody(Body):
    """A member's new template, and what they agreed to."""

    template: TemplateBody
    consent: ConsentBody


class ClaimBody(Body):
    """A card number or phone digits; a QR claim has no text, central draws it."""

    kind: ClaimKind
    text: Annotated[str, Field(max_length=32)] = ""


class PinBody(Body):
    """A PIN to set."""

    pin: Annotated[str, Field(min_length=4, max_length=12)]


class EventBody(Body):
    """An event to count for one purpose."""

    event_id: Annotated[str, Field(pattern=EVENT_REGEX, max_length=64)]
    purpose: SlugText
    kind: EventKind
    outcome: EventOutcome
    at_ms: InstantMs
    incident: Annotated[str, Field(pattern=INCIDENT_REGEX, max_length=64)] | None = None


class CaseBody(Body):
    """What is wrong with an event or restriction, in a sentence for the reviewer."""

    note: Annotated[str, Field(min_length=1, max_length=TEXT_MAX)]


class CommandBody(Body):
    """An order for a kiosk, good for so many seconds."""

    action: CommandAction
    staff: SlugText
    for_s: Annotated[int, Field(ge=1, le=LIFE_MAX_S, strict=True)] = LIFE_DEFAULT_S


class SettingsBody(Body):
    """A kiosk's desired settings by key; null takes one back."""

    settings: Annotated[dict[SettingText, SettingText | None], Field(min_length=1, max_length=SETTINGS_MAX)]


class KioskBody(Body):
    """A kiosk to add."""

    kiosk: SlugText
    purpose: SlugText
    enrols: bool = False
