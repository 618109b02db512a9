"""Central's tables. Every text and bytes column has a maximum that the database checks too."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    false,
)

from wire.fields import AMOUNT_MAX_MINOR, FIELD_MAX_BYTES, SETTING_MAX, TEXT_MAX
from wire.ids import CODE_MAX
from wire.values import REVIEWERS_TO_RESTRICT

ID_CHARS = 32
"""Slugs and 128-bit tokens alike."""
DIGEST_BYTES = 32
SMALL_MAX = 64
"""Short codes, and digests in hexadecimal."""
SEALED_SMALL_MAX = 1024
VERIFIER_MAX = 256
"""An argon2id verifier in PHC form."""
DAY_CHARS = 10
"""A date, as in 2026-11-23."""
CURRENCY_CHARS = 3
ENTRY_MAX_MINOR = 2**53 - 1
"""A settlement sums many charges."""

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _text(name: str, most: int, **options: object) -> Column[str]:
    return Column(name, String(most), nullable=bool(options.pop("nullable", False)), **options)  # type: ignore[arg-type]


def _bytes(name: str, most: int, **options: object) -> Column[bytes]:
    return Column(name, LargeBinary(most), nullable=bool(options.pop("nullable", False)), **options)  # type: ignore[arg-type]


def _number(name: str, **options: object) -> Column[int]:
    return Column(name, BigInteger, nullable=bool(options.pop("nullable", False)), **options)  # type: ignore[arg-type]


def _bounded(name: str, most: int, least: int = 0) -> CheckConstraint:
    return CheckConstraint(f"{name} >= {least} AND {name} <= {most}", name=f"{name}_bounds")


def _table(name: str, *parts: Column[Any] | UniqueConstraint | CheckConstraint | Index) -> Table:
    """A table whose text and bytes columns cannot outgrow their declared length."""
    checks = [
        CheckConstraint(f"length({part.name}) <= {part.type.length}", name=f"{part.name}_length")
        for part in parts
        if isinstance(part, Column) and isinstance(part.type, String | LargeBinary)
    ]
    return Table(name, METADATA, *parts, *checks)


def _subject(**options: object) -> Column[str]:
    return Column("subject", String(ID_CHARS), ForeignKey("subjects.subject"), nullable=False, **options)  # type: ignore[arg-type]


SUBJECTS = _table(
    "subjects",
    _text("subject", ID_CHARS, primary_key=True),
    _number("enrolled_at_ms"),
    _number("withdrawn_at_ms", nullable=True),
    _text("consent_version", 16),
    _text("consent_language", 8),
    _number("consent_at_ms"),
    _text("agree_by", 8, server_default="button"),
    _text("enrolled_by", ID_CHARS, nullable=True),
)
ALIKE = _table(
    "alike",
    _subject(primary_key=True),
    Column("other", String(ID_CHARS), ForeignKey("subjects.subject"), primary_key=True, index=True),
)
WITHDRAWALS = _table(
    "withdrawals", _subject(primary_key=True), _number("told_at_ms", nullable=True, index=True)
)
WITHDRAWAL_PLACES = _table(
    "withdrawal_places",
    _subject(primary_key=True),
    _text("kind", 16, primary_key=True),
    _text("name", ID_CHARS, primary_key=True),
    _number("epoch"),
    _number("version"),
)
TEMPLATES = _table(
    "templates",
    _subject(primary_key=True),
    _bytes("sealed", FIELD_MAX_BYTES),
    _number("key_version"),
    _text("recipe_digest", SMALL_MAX),
    Column("images", Integer, nullable=False),
)
SPARE_TEMPLATES = _table(
    "spare_templates",
    _subject(primary_key=True),
    _bytes("sealed", FIELD_MAX_BYTES),
    _number("key_version"),
    _text("recipe_digest", SMALL_MAX),
    Column("images", Integer, nullable=False),
)
RE_ENROLMENTS = _table(
    "re_enrolments",
    _text("name", ID_CHARS, primary_key=True),
    _text("pack", SMALL_MAX),
    _text("pack_digest", SMALL_MAX),
    _text("recipe_digest", SMALL_MAX),
    _number("begun_at_ms"),
    _number("switched_at_ms", nullable=True),
)
CLAIMS = _table(
    "claims",
    _bytes("digest", DIGEST_BYTES, primary_key=True),
    _subject(index=True),
    _text("kind", 8),
    _number("added_at_ms"),
    _number("revoked_at_ms", nullable=True),
)
PINS = _table(
    "pins",
    _subject(primary_key=True),
    _text("verifier", VERIFIER_MAX),
    Column("tries_used", Integer, nullable=False),
    _number("not_before_ms"),
)
EVENTS = _table(
    "events",
    _text("event_id", SMALL_MAX, primary_key=True),
    _subject(index=True),
    _text("purpose", ID_CHARS),
    _text("kind", 16),
    _text("outcome", 8),
    _number("at_ms"),
    _text("incident", SMALL_MAX, nullable=True),
    Column("disputed", Boolean, nullable=False),
    Column("struck", Boolean, nullable=False, server_default=false()),
)
STANDINGS = _table(
    "standings",
    _subject(primary_key=True),
    _text("purpose", ID_CHARS, primary_key=True),
    _bytes("body", FIELD_MAX_BYTES),
)
RESTRICTIONS = _table(
    "restrictions",
    _text("restriction_id", ID_CHARS, primary_key=True),
    _subject(index=True),
    _text("purpose", ID_CHARS),
    _text("contest_code", 16, unique=True),
    _bytes("body", FIELD_MAX_BYTES),
    _number("lifted_at_ms", nullable=True),
    _bytes("lifting", FIELD_MAX_BYTES, nullable=True),
)
REVIEWERS = _table(
    "reviewers",
    _text("key_id", ID_CHARS, primary_key=True),
    _text("reviewer", ID_CHARS, index=True),
    _bytes("certificate", SEALED_SMALL_MAX),
    _number("added_at_ms"),
    _number("revoked_at_ms", nullable=True),
)
CASES = _table(
    "cases",
    _text("matter", 16, primary_key=True),
    _text("target", SMALL_MAX, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    _subject(index=True),
    _text("purpose", ID_CHARS),
    _number("opened_at_ms"),
    _text("opened_by", ID_CHARS),
    _text("note", TEXT_MAX),
    _number("settled_at_ms", nullable=True),
    _bytes("ruling", FIELD_MAX_BYTES, nullable=True),
)
RESTRICTION_TALLIES = _table(
    "restriction_tallies",
    _text("purpose", ID_CHARS, primary_key=True),
    _text("reviewers", REVIEWERS_TO_RESTRICT * (ID_CHARS + 1), primary_key=True),
    _text("reason", CODE_MAX, primary_key=True),
    Column("month", Integer, primary_key=True, autoincrement=False),
    Column("issued", Integer, nullable=False),
    Column("lowest_tier", Integer, nullable=False),
)
KIOSKS = _table(
    "kiosks",
    _text("kiosk", ID_CHARS, primary_key=True),
    _text("site", ID_CHARS),
    _text("purpose", ID_CHARS),
    _text("gallery", ID_CHARS),
    _number("added_at_ms"),
    _bytes("certificate", SEALED_SMALL_MAX, nullable=True),
    _bytes("issuer", SEALED_SMALL_MAX, nullable=True),
    _bytes("box_public_key", DIGEST_BYTES, nullable=True),
    _text("software", SMALL_MAX, nullable=True),
    _number("revoked_at_ms", nullable=True),
    Column("enrols", Boolean, nullable=False, server_default=false()),
)
PAIRING_CODES = _table(
    "pairing_codes",
    _bytes("lookup", DIGEST_BYTES, primary_key=True),
    _text("kiosk", ID_CHARS),
    _bytes("sealed_code", SEALED_SMALL_MAX),
    _number("expires_at_ms"),
    _number("used_at_ms", nullable=True),
)
SIGHTINGS = _table(
    "sightings",
    _text("kiosk", ID_CHARS, primary_key=True),
    _text("presence", 16),
    _text("boot_id", ID_CHARS),
    _number("seen_at_ms"),
    _text("pack_digest", SMALL_MAX, nullable=True),
    _text("recipe_digest", SMALL_MAX, nullable=True),
    _number("gallery_epoch", server_default="0"),
    _number("gallery_version", server_default="0"),
    _number("standings_epoch", server_default="0"),
    _number("standings_version", server_default="0"),
)
RECORDS = _table(
    "records",
    _text("kiosk", ID_CHARS, primary_key=True),
    _number("sequence", primary_key=True, autoincrement=False),
    _text("record_id", ID_CHARS),
    _text("passage", ID_CHARS, index=True),
    _bytes("commitment", DIGEST_BYTES),
    _bytes("link", DIGEST_BYTES),
    _bytes("salt", 16, nullable=True),
    _bytes("body", FIELD_MAX_BYTES, nullable=True),
    UniqueConstraint("kiosk", "record_id", name="uq_records_record_id"),
)
CHAIN_HEADS = _table(
    "chain_heads",
    _text("kiosk", ID_CHARS, primary_key=True),
    _number("sequence", primary_key=True, autoincrement=False),
    _bytes("link", DIGEST_BYTES),
    _bytes("signature", SMALL_MAX),
    _number("received_at_ms", server_default="0"),
)
FEEDS = _table(
    "feeds",
    _text("kind", 16, primary_key=True),
    _text("name", ID_CHARS, primary_key=True),
    _number("epoch"),
    _number("version"),
    _bytes("digest", DIGEST_BYTES),
)
FEED_CHANGES = _table(
    "feed_changes", _text("subject", ID_CHARS, primary_key=True), _number("revision", index=True)
)
ORDERS = _table(
    "orders",
    _bytes("nonce", 16, primary_key=True),
    _text("kiosk", ID_CHARS),
    _text("action", 16),
    _text("staff", ID_CHARS),
    _number("issued_at_ms"),
    _number("not_after_ms"),
    _number("sent_at_ms", nullable=True),
    _text("outcome", CODE_MAX, nullable=True),
    _text("passage", ID_CHARS, nullable=True),
    _number("answered_at_ms", nullable=True),
)
SHADOWS = _table(
    "shadows",
    _text("kiosk", ID_CHARS, primary_key=True),
    _number("desired_version"),
    _number("reported_version"),
    _number("reported_at_ms", nullable=True),
)
SHADOW_SETTINGS = _table(
    "shadow_settings",
    _text("kiosk", ID_CHARS, primary_key=True),
    _text("part", 8, primary_key=True),
    _text("key", SETTING_MAX, primary_key=True),
    _text("value", SETTING_MAX),
)
MEMBER_ACCOUNTS = _table(
    "member_accounts", _subject(primary_key=True), _text("account", ID_CHARS, unique=True)
)
CHARGES = _table(
    "charges",
    _text("charge", ID_CHARS, primary_key=True),
    _text("kiosk", ID_CHARS),
    _text("purpose", ID_CHARS),
    _text("account", ID_CHARS, nullable=True),
    _text("merchant", ID_CHARS, nullable=True),
    _text("checkout", ID_CHARS, nullable=True, index=True),
    _text("reference", TEXT_MAX),
    _text("fare_day", DAY_CHARS, nullable=True),
    _number("amount_minor"),
    _text("currency", CURRENCY_CHARS),
    _text("state", 16),
    _text("source", 16),
    _number("at_ms"),
    _number("not_after_ms"),
    Column("confirmed", Boolean, nullable=False),
    Column("postings", Integer, nullable=False),
    _number("refunded_minor"),
    Index("ix_charges_account", "account", "fare_day"),
    _bounded("amount_minor", AMOUNT_MAX_MINOR),
    CheckConstraint("refunded_minor >= 0 AND refunded_minor <= amount_minor", name="refunded_bounds"),
)
TRANSACTIONS = _table(
    "transactions",
    _text("posting", SMALL_MAX, primary_key=True),
    _text("kind", 16),
    _text("currency", CURRENCY_CHARS),
    _text("day", DAY_CHARS, index=True),
    _number("at_ms"),
    _text("account", ID_CHARS, nullable=True, index=True),
    _text("merchant", ID_CHARS, nullable=True),
    _text("charge", ID_CHARS, nullable=True, index=True),
)
ENTRIES = _table(
    "entries",
    Column("posting", String(SMALL_MAX), ForeignKey("transactions.posting"), primary_key=True),
    _text("account", SMALL_MAX, primary_key=True),
    _text("currency", CURRENCY_CHARS),
    _number("amount_minor"),
    Index("ix_entries_account", "account", "currency", "amount_minor"),
    _bounded("amount_minor", ENTRY_MAX_MINOR, -ENTRY_MAX_MINOR),
)
PROVIDER_ORDERS = _table(
    "provider_orders",
    _text("provider_order", SMALL_MAX, primary_key=True),
    _text("action", 16),
    _text("charge", ID_CHARS),
    _text("account", ID_CHARS),
    _number("amount_minor"),
    _text("currency", CURRENCY_CHARS),
    _text("state", 16, index=True),
    _number("at_ms"),
    _bounded("amount_minor", AMOUNT_MAX_MINOR),
)
REVISIONS = _table("revisions", _text("name", ID_CHARS, primary_key=True), _number("revision"))
SECRETS = _table("secrets", _text("name", ID_CHARS, primary_key=True), _bytes("sealed", SEALED_SMALL_MAX))
