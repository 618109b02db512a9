"""Pages of a feed: every row once and in order, whatever changed, and only what changed made anew."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from central.rules.feed_pages import NEVER_MS, Page, between, build, change, deltas, due_at_ms, renewed_at_ms
from tests.doubles.examples import examples
from tests.doubles.wire_samples import restriction, standing
from wire.canonical import canonical
from wire.fleet import DELTA_MAX_ROWS
from wire.ids import SubjectId
from wire.packing import CHUNK_MAX_BYTES, CHUNK_MAX_ROWS, row_number, unpack_standings
from wire.values import Standing, StandingEntry, Tombstone

FEW = 5  # rows of a page, so that a handful of subjects split it


def subject(number: int) -> SubjectId:
    return SubjectId(f"{number:032x}")


def rows_of(pages: tuple[Page, ...]) -> list[StandingEntry]:
    found = []
    for page in pages:
        unpacked = unpack_standings(page.packed)
        assert unpacked is not None
        assert (unpacked.digest, len(unpacked.rows)) == (page.digest, page.count)
        assert unpacked.rows[0].subject == page.first
        assert sum(map(len, unpacked.encoded)) <= CHUNK_MAX_BYTES
        assert page.renew_at_ms == min(map(renewed_at_ms, unpacked.rows))
        found += unpacked.rows
    return found


def summed(rows: list[StandingEntry]) -> int:
    return sum(row_number(canonical(row)) for row in rows)


entries = st.builds(
    lambda number, score: Tombstone(subject(number), 1) if score == 0 else standing(subject(number), score),
    st.integers(0, 40),
    st.integers(0, 3),
)
batches = st.lists(entries, max_size=12, unique_by=lambda row: row.subject).map(
    lambda rows: sorted(rows, key=lambda row: row.subject)
)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(batches, st.sets(st.integers(0, 40), max_size=6)), max_size=8))
def test_after_any_changes_pages_hold_each_subjects_last_row_once_and_in_order(changes):
    pages: tuple[Page, ...] = ()
    number, held = 0, {}
    for batch, leaving in changes:
        named = {row.subject for row in batch}
        gone = [subject(each) for each in sorted(leaving) if subject(each) not in named]
        fresh = [row for row in batch if held.get(row.subject) != row]
        made = change(pages, number, rows=batch, unpack=unpack_standings, gone=gone, most=FEW)
        assert list(made.rows) == fresh
        assert list(made.gone) == [each for each in gone if each in held]
        kept = [page for page in made.pages if page in pages]
        assert len(kept) >= len(pages) - len(batch) - len(gone)
        held |= {row.subject: row for row in batch}
        held = {each: row for each, row in held.items() if each not in gone}
        pages, number = made.pages, made.number
        assert rows_of(pages) == [held[each] for each in sorted(held)]
        assert number == summed(list(held.values()))
        assert all(page.count <= FEW for page in pages)
        first, last = subject(10), subject(20)
        beyond = list(between(pages, first, last, unpack_standings))
        assert beyond == [each for each in sorted(held) if first < each <= last]
        assert list(between(pages, "", None, unpack_standings)) == sorted(held)


@settings(max_examples=examples(10), deadline=None)
@given(st.integers(0, 3 * CHUNK_MAX_ROWS))
def test_first_pages_hold_every_row_once_within_the_bounds_of_a_chunk(count: int):
    rows: list[StandingEntry] = [standing(subject(number)) for number in range(count)]
    pages, number = build(rows)
    assert rows_of(pages) == rows
    assert number == summed(rows)
    assert all(page.count <= CHUNK_MAX_ROWS for page in pages)


def test_large_rows_split_a_page_by_their_bytes():
    four = tuple(restriction(subject(0), number) for number in range(4))
    rows = [standing(subject(number), restrictions=four) for number in range(200)]
    assert sum(len(canonical(row)) for row in rows) > CHUNK_MAX_BYTES
    made = change((), 0, rows=rows, unpack=unpack_standings)
    assert rows_of(made.pages) == rows
    leaving = [subject(number) for number in range(1000, 3000)]
    parts = list(deltas(rows, leaving))
    assert [row for part, _ in parts for row in part] == rows
    assert [each for _, gone in parts for each in gone] == leaving
    assert all(len(part) + len(gone) <= DELTA_MAX_ROWS for part, gone in parts)
    assert all(sum(len(canonical(row)) for row in part) <= CHUNK_MAX_BYTES for part, _ in parts)


def test_what_is_said_again_unchanged_makes_no_page_and_no_row():
    pages, number = build([standing(subject(each)) for each in range(9)])
    made = change(pages, number, rows=[standing(subject(4))], unpack=unpack_standings)
    assert (made.pages, made.rows, made.number) == (pages, (), number)


def test_a_page_is_renewed_when_its_first_standing_is_due_or_its_first_restriction_is_over():
    plain: Standing = standing(subject(1))
    short = restriction(subject(2), 1, expires_at_ms=due_at_ms(plain) - 1)
    restricted = standing(subject(2), restrictions=(short,))
    assert renewed_at_ms(plain) == due_at_ms(plain)
    assert renewed_at_ms(restricted) == short.expires_at_ms
    assert renewed_at_ms(Tombstone(subject(3), 1)) == NEVER_MS
    (page,), _ = build([plain, restricted])
    assert page.renew_at_ms == short.expires_at_ms
