"""The gallery: exact search at every size, changes without a pause, and nothing that can be altered."""

from __future__ import annotations

import numpy as np
import pytest

from edge.capture.sample import Tensor, Vector
from edge.compare.codes import CODE_MAX, DIMENSIONS_MAX, PRODUCT_MAX, Codes
from edge.compare.gallery import CODED_FROM, PACK_AFTER, Gallery, Template
from edge.errors import TemplateError
from wire.ids import SubjectId

RECIPE = "a" * 64
SEED = 20
LARGE = CODED_FROM + 1_500
FLOAT_ERROR = 1e-6


def faces(seed: int, count: int, dimensions: int = 128, corner: float = 2.0) -> Tensor:
    """Unit vectors in one corner of the sphere, as those of faces are; `corner` 0 spreads them over it."""
    generator = np.random.default_rng(seed)
    drawn = generator.standard_normal((count, dimensions), np.float32)
    drawn += np.float32(corner) * np.random.default_rng(1).standard_normal(dimensions, np.float32)
    return units(drawn)


def units(rows: Tensor) -> Tensor:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def near(rows: Tensor, seed: int, apart: float) -> Tensor:
    noise = np.random.default_rng(seed).standard_normal(rows.shape, np.float32)
    return units(rows + np.float32(apart / np.sqrt(rows.shape[1])) * noise)


def name(row: int) -> SubjectId:
    return SubjectId(f"{row:032x}")


def gallery_of(matrix: Tensor, first: int = 0) -> Gallery:
    count = len(matrix)
    return Gallery.of_rows(RECIPE, (name(first + row) for row in range(count)), [1] * count, matrix.copy())


def template(row: int, vector: Vector) -> Template:
    return Template(name(row), vector, RECIPE, 3)


def by_floats(matrix: Tensor, names: list[SubjectId], vector: Vector, count: int) -> list[SubjectId]:
    alikes = matrix @ vector
    return [names[row] for row in np.argsort(-alikes)[:count]]


@pytest.mark.parametrize("dimensions", [2, 128, 384])
@pytest.mark.parametrize("corner", [0.0, 2.0, 6.0])
def test_the_coded_search_names_whom_all_the_floats_name(dimensions: int, corner: float) -> None:
    matrix = faces(SEED, LARGE, dimensions, corner)
    gallery = gallery_of(matrix)
    assert gallery.base.codes is not None
    names = list(gallery.subjects)
    exact = matrix.astype(np.float64)
    probes = np.concatenate([near(matrix[::100], 3, 0.4), faces(4, 40, dimensions, corner)])
    for probe in probes:
        found = gallery.nearest(probe, 2)
        alikes = np.sort(exact @ probe.astype(np.float64))[::-1]
        # By similarity where two are nearer to each other than float32 can tell, else by name.
        assert [each.similarity for each in found] == pytest.approx(list(alikes[:2]), abs=FLOAT_ERROR)
        if alikes[0] - alikes[1] > FLOAT_ERROR and alikes[1] - alikes[2] > FLOAT_ERROR:
            assert [each.subject for each in found] == by_floats(matrix, names, probe, 2)


def test_the_codes_leave_out_most_rows_and_never_one_of_the_best() -> None:
    matrix = faces(SEED, LARGE)
    codes = gallery_of(matrix).base.codes
    assert codes is not None
    none = np.zeros(0, np.intp)
    for probe in near(matrix[::50], 5, 0.4):
        rows = codes.contenders(probe, 2, none)
        assert len(rows) < LARGE / 10
        assert set(np.argsort(-(matrix @ probe))[:2]) <= set(rows)


def test_one_odd_template_makes_no_search_slower() -> None:
    matrix = faces(SEED, LARGE)
    probe = near(matrix[4:5], 5, 0.4)[0]
    none = np.zeros(0, np.intp)
    plain, odd = (
        Codes.of(matrix),
        Codes.of(np.concatenate([matrix, -matrix[:1], np.eye(1, 128, dtype=np.float32)])),
    )
    assert len(odd.contenders(probe, 2, none)) <= 2 * len(plain.contenders(probe, 2, none))


def test_the_codes_allow_for_what_coding_the_probe_leaves_out() -> None:
    # The rows are codes exactly; the probe's small parts vanish, and they are what puts the second row first.
    step = 1 / CODE_MAX
    one, best = np.array((1, -1, -1, -1), np.float32), np.array((1 - step, 1, 1, 1), np.float32)
    probe = np.array((1, 0.49 * step, 0.49 * step, 0.49 * step), np.float32)
    assert one @ probe < best @ probe
    codes = Codes.of(np.stack([one, best, -one, -best]))
    assert 1 in codes.contenders(probe, 1, np.zeros(0, np.intp))


def test_everyone_above_a_floor_is_found_and_nobody_below() -> None:
    matrix = faces(SEED, LARGE)
    gallery = gallery_of(matrix)
    probe = near(matrix[7:8], 6, 0.2)[0]
    alikes = np.einsum("nd,d->n", matrix, probe)
    for floor in (0.5, 0.8, 0.85, 0.99, 1.1, -1.0):
        found = gallery.alike(probe, floor)
        assert {each.subject for each in found} == {name(int(row)) for row in np.flatnonzero(alikes >= floor)}
        assert [each.similarity for each in found] == sorted((e.similarity for e in found), reverse=True)


def test_the_most_extreme_codes_multiply_without_rounding() -> None:
    assert DIMENSIONS_MAX * CODE_MAX**2 <= PRODUCT_MAX
    one = np.full(DIMENSIONS_MAX, DIMENSIONS_MAX**-0.5, np.float32)
    one[1::2] *= -1
    matrix = np.stack([one, -one] * (CODED_FROM // 2))
    gallery = gallery_of(matrix)
    assert gallery.base.codes is not None
    assert {each.subject for each in gallery.alike(one, 0.99)} == {name(n) for n in range(0, CODED_FROM, 2)}


def test_vectors_too_long_for_exact_codes_are_searched_as_floats() -> None:
    gallery = gallery_of(faces(SEED, CODED_FROM, DIMENSIONS_MAX + 1))
    assert gallery.base.codes is None
    assert gallery.nearest(gallery.matrix[9], 1)[0].subject == name(9)


def test_a_gallery_of_equal_templates_still_searches() -> None:
    gallery = gallery_of(np.repeat(faces(SEED, 1), CODED_FROM, axis=0))
    found = gallery.nearest(gallery.matrix[0], 2)
    assert [each.similarity for each in found] == pytest.approx([1.0, 1.0], abs=FLOAT_ERROR)


@pytest.mark.parametrize("size", [300, LARGE])
def test_any_run_of_changes_searches_as_a_gallery_made_anew(size: int) -> None:
    generator = np.random.default_rng(SEED)
    kept = dict(enumerate(faces(SEED, size)))
    gallery = gallery_of(faces(SEED, size))
    fresh = size
    for step in range(8):
        leaving = [int(row) for row in generator.choice(sorted(kept), 20, replace=False)]
        for row in leaving:
            del kept[row]
        replaced = [int(row) for row in generator.choice(sorted(kept), 10, replace=False)]
        incoming = dict(zip([*replaced, *range(fresh, fresh + 15)], faces(100 + step, 25), strict=True))
        fresh += 15
        kept.update(incoming)
        gallery = gallery.changed(
            (template(row, vector) for row, vector in incoming.items()), (name(row) for row in leaving)
        )
        if step == 5:
            gallery = gallery.packed()
        assert len(gallery) == len(kept)
        assert set(gallery.subjects) == {name(row) for row in kept}
        assert all(gallery.template(name(row)) is None for row in leaving)
        matrix, names = np.stack(list(kept.values())), [name(row) for row in kept]
        for probe in near(matrix[::397], step, 0.4):
            assert [each.subject for each in gallery.nearest(probe, 2)] == by_floats(matrix, names, probe, 2)


def test_a_removed_member_is_never_found_even_by_their_own_template() -> None:
    matrix = faces(SEED, LARGE)
    gallery = gallery_of(matrix).changed((), [name(11)])
    assert name(11) not in {each.subject for each in gallery.nearest(matrix[11], LARGE)}
    assert name(11) not in {each.subject for each in gallery.alike(matrix[11], -1.0)}
    assert gallery.template(name(11)) is None
    assert name(11) not in {each.subject for each in gallery.packed().nearest(matrix[11], LARGE)}


def test_a_gallery_whose_members_all_left_finds_no_one() -> None:
    matrix = faces(SEED, CODED_FROM)
    gallery = gallery_of(matrix).changed((), (name(row) for row in range(CODED_FROM)))
    assert len(gallery) == 0
    assert gallery.nearest(matrix[0], 2) == ()
    assert gallery.alike(matrix[0], -1.0) == ()
    assert len(gallery.packed()) == 0
    assert gallery.packed().changed([template(1, matrix[1])]).nearest(matrix[1], 2)[0].subject == name(1)


def test_the_last_one_left_of_many_is_found_alone() -> None:
    matrix = faces(SEED, CODED_FROM)
    gallery = gallery_of(matrix).changed((), (name(row) for row in range(1, CODED_FROM)))
    assert [each.subject for each in gallery.nearest(matrix[5], 2)] == [name(0)]


def test_a_new_template_takes_the_place_of_the_old_one() -> None:
    matrix = faces(SEED, LARGE)
    moved = faces(77, 1)[0]
    gallery = gallery_of(matrix).changed([template(3, moved)])
    assert len(gallery) == LARGE
    found = gallery.template(name(3))
    assert found is not None
    np.testing.assert_array_equal(found.vector, moved)
    assert found.images == 3
    assert [e.subject for e in gallery.alike(moved, 0.9999)] == [name(3)]
    again = gallery.changed([template(3, matrix[3])])
    assert again.nearest(matrix[3], 1)[0].subject == name(3)
    assert again.changes == gallery.changes


def test_removing_whom_nobody_knows_changes_nothing() -> None:
    matrix = faces(SEED, 50)
    gallery = gallery_of(matrix)
    assert gallery.changed((), [name(999)]).subjects == gallery.subjects


def test_a_search_under_way_keeps_the_gallery_it_began_with() -> None:
    matrix = faces(SEED, LARGE)
    before = gallery_of(matrix)
    after = before.changed([template(LARGE, faces(5, 1)[0])], [name(0)])
    assert before.nearest(matrix[0], 1)[0].subject == name(0)
    assert len(before) == LARGE
    assert before.template(name(LARGE)) is None
    assert after.template(name(LARGE)) is not None


def test_a_change_copies_nothing_of_the_block() -> None:
    before = gallery_of(faces(SEED, LARGE))
    after = before.changed([template(LARGE, faces(5, 1)[0])], [name(0)])
    assert after.base is before.base


def test_packing_is_wanted_after_many_changes_and_leaves_none() -> None:
    matrix = faces(SEED, LARGE)
    gallery = gallery_of(matrix).changed((), (name(row) for row in range(PACK_AFTER - 1)))
    assert not gallery.wants_packing
    gallery = gallery.changed((), [name(PACK_AFTER - 1)])
    assert gallery.wants_packing
    packed = gallery.packed()
    assert (packed.changes, packed.wants_packing) == (0, False)
    assert packed.subjects == gallery.subjects
    np.testing.assert_array_equal(packed.matrix, gallery.matrix)
    assert packed.packed() is packed


def test_nothing_of_a_gallery_can_be_written() -> None:
    gallery = gallery_of(faces(SEED, LARGE))
    changed = gallery.changed([template(LARGE, faces(5, 1)[0])], [name(0)])
    codes = gallery.base.codes
    found = gallery.template(name(1))
    assert codes is not None
    assert found is not None
    for array in (gallery.matrix, changed.matrix, codes.values, codes.centre, found.vector):
        with pytest.raises(ValueError, match="read-only"):
            array.flat[0] = 0


def test_a_subject_twice_or_of_another_recipe_is_refused_in_a_change_too() -> None:
    gallery = gallery_of(faces(SEED, 10))
    vector = faces(5, 1)[0]
    with pytest.raises(TemplateError, match="two templates"):
        gallery.changed([template(1, vector), template(1, vector)])
    with pytest.raises(TemplateError, match="enrol again"):
        gallery.changed([Template(name(1), vector, "b" * 64, 1)])
