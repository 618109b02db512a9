"""A site that version 0.1.0 wrote is opened by this version, and what cannot be read in it ends nothing."""

from __future__ import annotations

import contextlib
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from central.adapters.db.tables import METADATA
from central.app import load_config, open_use_cases
from central.errors import SchemaError
from central.service.use_cases import UseCases
from edge.adapters.storage.cache import Cache, FeedName
from edge.adapters.storage.checkouts import Checkouts
from edge.adapters.storage.keyfile import DEVICE_KEY_FILE, RowSealer
from edge.adapters.storage.outbox import Outbox
from tests.doubles.central_rig import CHEAP_HASHER, RIDE
from tests.fixtures.make import ARCHIVE, GATE, PIN, TILL, Facts
from wire.environment import Environment
from wire.ids import ClaimId
from wire.requests import PinOutcome
from wire.signing import Signer
from wire.values import GalleryRow, Standing


@pytest.fixture
def site(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        # Python 3.11.2, Debian's, has no filters yet.
        archive.extraction_filter = getattr(tarfile, "tar_filter", None)
        archive.extractall(tmp_path)
    return tmp_path


def facts(site: Path) -> Facts:
    return msgspec.json.decode((site / "facts.json").read_bytes(), type=Facts)


@contextlib.contextmanager
def central(site: Path) -> Iterator[UseCases]:
    now_ms = facts(site).now_ms
    with open_use_cases(
        load_config(site / "central" / "central.toml"),
        Environment(utc_ms=lambda: now_ms, hasher=CHEAP_HASHER),
    ) as opened:
        yield opened


@contextlib.contextmanager
def kiosk(site: Path) -> Iterator[tuple[Cache, Outbox, Checkouts]]:
    folder = site / "kiosk"
    sealer = RowSealer((folder / DEVICE_KEY_FILE).read_bytes(), bytes)
    cache = Cache(folder / "cache.sqlite3", sealer)
    outbox = Outbox(
        folder / "outbox.sqlite3", TILL, signer=Signer.from_seed(b"s" * 32), sealer=sealer, random_bytes=bytes
    )
    yield cache, outbox, Checkouts(outbox.database, outbox.sealer, bytes)
    outbox.close()
    cache.close()


def changed(file: Path, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute(statement, values).rowcount > 0
        connection.commit()


def test_the_kept_site_has_a_row_in_every_table(site: Path):
    with contextlib.closing(sqlite3.connect(site / "central" / "central.db")) as connection:
        counts = {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in METADATA.tables
        }
    assert [name for name, count in counts.items() if not count] == []


def test_a_central_of_version_0_1_0_is_opened_with_all_it_holds(site: Path):
    kept = facts(site)
    with central(site) as use_cases:
        explained = use_cases.standings.explain(kept.member, RIDE)
        assert explained.standing.score == kept.score
        assert [each.restriction_id for each in explained.standing.restrictions] == [kept.restriction]
        assert use_cases.visits.holder(ClaimId(kept.claim)) == kept.member
        assert use_cases.members.check_pin(kept.member, PIN).outcome is PinOutcome.RIGHT
        balances = use_cases.ledger.balances(use_cases.ledger.account_of(kept.member))
        assert [each.stored_minor for each in balances] == [kept.stored_minor]
        assert use_cases.ledger.check().wrong == ()
        reports = use_cases.records.verify()
        assert sum(each.records for each in reports) == kept.records
        assert [each.kiosk for each in reports if each.broken_at is not None] == []
        assert use_cases.withdrawals.progress(kept.withdrawn).told
        assert use_cases.feeds.refresh()
        assert use_cases.unreadable == {}


async def test_a_kiosk_of_version_0_1_0_is_opened_with_all_it_holds(site: Path):
    kept = facts(site)
    with kiosk(site) as (cache, outbox, tills):
        member = cache.member(kept.member)
        assert isinstance(member, GalleryRow)
        assert {holder.subject for each in member.claim_digests for holder in cache.holders(each)} == {
            kept.member
        }
        assert isinstance(cache.standing(kept.member), Standing)
        assert all(cache.held(feed) for feed in FeedName)
        assert outbox.next_batch() is not None
        assert len(await outbox.unsettled()) == 1
        assert tills.under_way() is not None
        assert tills.offline_spent_minor(kept.member, 900_000) == 250
        checkout = outbox.database.read("SELECT checkout_id FROM refund")[0][0]
        before = await tills.begin_refund("refund-1", checkout, 100)
        assert (before.amount_minor, before.accepted) == (100, None)


def test_a_database_of_another_version_is_refused_with_a_sentence(site: Path):
    changed(site / "central" / "central.db", "UPDATE alembic_version SET version_num = '0007'")
    told = r"has the schema '0007', and this version of Stile reads 0\.1\.0: start the version that wrote it"
    with pytest.raises(SchemaError, match=told), central(site):
        pass


UNREADABLE = {
    "subjects": "UPDATE subjects SET agree_by = 'wink' WHERE withdrawn_at_ms IS NOT NULL",
    "claims": "UPDATE claims SET kind = 'tattoo'",
    "events": "UPDATE events SET kind = 'gossip' WHERE event_id = 'event-0'",
    "restrictions": "UPDATE restrictions SET body = x'c1'",
    "reviewers": "UPDATE reviewers SET certificate = x'c1'",
    "cases": "UPDATE cases SET matter = 'rumour'",
    "kiosks": "UPDATE kiosks SET certificate = x'c1' WHERE kiosk = 'gate-2'",
    "orders": "UPDATE orders SET action = 'dance'",
    "templates": "UPDATE templates SET sealed = x'00', key_version = 0",
}


@pytest.mark.parametrize("table", UNREADABLE)
def test_a_row_that_cannot_be_read_is_named_and_the_site_goes_on_without_it(
    site: Path, table: str, caplog: pytest.LogCaptureFixture
):
    kept = facts(site)
    changed(site / "central" / "central.db", UNREADABLE[table])
    with central(site) as use_cases:
        use_cases.context.keys.reseal()
        assert use_cases.feeds.refresh()
        use_cases.reviews.open_cases()
        use_cases.reviews.reviewers()
        use_cases.kiosks.ring()
        list(use_cases.kiosks.all())
        use_cases.commands._store.orders(GATE)
        use_cases.members.entry(kept.member)
        assert use_cases.standings.explain(kept.member, RIDE).standing.subject == kept.member
        assert use_cases.retention.run().records == 0
        named = {each.partition(" ")[0] for each in use_cases.unreadable}
    assert named <= {table}
    assert any(table.rstrip("s") in each.getMessage() for each in caplog.records)
    assert len({each.getMessage() for each in caplog.records}) == len(caplog.records), "each is named once"


def test_a_standing_that_cannot_be_read_is_computed_again(site: Path):
    kept = facts(site)
    changed(site / "central" / "central.db", "UPDATE standings SET body = x'c1'")
    with central(site) as use_cases:
        assert use_cases.standings.explain(kept.member, RIDE).standing.score == kept.score
