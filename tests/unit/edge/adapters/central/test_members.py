"""Templates on their way: turned, sealed, and opened only as whose they are."""

from __future__ import annotations

import random

import numpy as np
import pytest

from edge.adapters.storage.vault import Vault
from edge.compare.gallery import Template
from wire.ids import OperatorId, SiteId, SubjectId
from wire.pairing import GalleryKey, SiteSecrets
from wire.rotation import rotation
from wire.sealing import seal, template_binding
from wire.values import SealedTemplate

SUBJECT, OTHER = SubjectId("a" * 32), SubjectId("b" * 32)
RECIPE = "ab" * 32
PINNED = (-0.03705684, -0.02024758, 0.13330646)
METRO, NORTH = OperatorId("metro"), SiteId("north")
OLD, NEW = GalleryKey(1, b"k" * 32, b"r" * 32), GalleryKey(2, b"l" * 32, b"s" * 32)


def secrets(*keys: GalleryKey) -> SiteSecrets:
    return SiteSecrets(keys, b"c" * 32)


def vault(*keys: GalleryKey) -> Vault:
    return Vault(METRO, NORTH, secrets(*(keys or (OLD,))))


def unit(seed: int, dimensions: int = 128) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=dimensions).astype(np.float32)
    return vector / np.linalg.norm(vector)


def template(seed: int = 1, dimensions: int = 128) -> Template:
    return Template(SUBJECT, unit(seed, dimensions), RECIPE, 3)


def draw(seed: int = 1):
    return random.Random(seed).randbytes


@pytest.mark.parametrize("dimensions", [1, 2, 128, 500])
def test_a_rotation_is_orthogonal_and_leaves_similarities_as_they_are(dimensions: int):
    turned = rotation(b"s" * 32, dimensions)
    assert np.allclose(turned @ turned.T, np.eye(dimensions), atol=1e-5)
    a, b = unit(1, dimensions), unit(2, dimensions)
    assert float((turned @ a) @ (turned @ b)) == pytest.approx(float(a @ b), abs=1e-5)


def test_a_rotation_belongs_to_its_seed():
    rotation.cache_clear()
    first = rotation(b"s" * 32, 16).copy()
    rotation.cache_clear()
    assert np.array_equal(rotation(b"s" * 32, 16), first)
    assert not np.allclose(rotation(b"t" * 32, 16), first, atol=0.1)
    # The same on every machine: recomputing it elsewhere must give this row.
    assert np.allclose(first[0, :3], PINNED, atol=1e-6)


def test_a_template_opens_as_it_was_sealed():
    sealed = vault().seal(template(), draw())
    opened = vault().open(SUBJECT, sealed)
    assert opened is not None
    assert np.allclose(opened.vector, unit(1), atol=1e-6)
    assert (opened.subject, opened.recipe_digest, opened.images) == (SUBJECT, RECIPE, 3)


def test_templates_are_sealed_under_the_newest_key_and_old_ones_still_open():
    both = vault(OLD, NEW)
    assert both.seal(template(), draw()).key_version == 2
    assert both.open(SUBJECT, vault(OLD).seal(template(), draw())) is not None


def test_a_template_does_not_open_as_another_subjects_another_sites_or_another_recipes():
    sealed = vault().seal(template(), draw())
    other_recipe = SealedTemplate(sealed.sealed, sealed.key_version, "cd" * 32, 3)
    assert vault().open(OTHER, sealed) is None
    assert vault().open(SUBJECT, other_recipe) is None
    assert Vault(METRO, SiteId("south"), secrets(OLD)).open(SUBJECT, sealed) is None
    assert vault(NEW).open(SUBJECT, sealed) is None


def test_with_another_sites_rotation_a_template_is_nobodys():
    sealed = vault().seal(template(), draw())
    opened = vault(GalleryKey(1, OLD.key, b"q" * 32)).open(SUBJECT, sealed)
    assert opened is not None
    assert abs(float(opened.vector @ unit(1))) < 0.5


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"abc",
        np.zeros(128, "<f4").tobytes(),
        np.full(128, np.nan, "<f4").tobytes(),
        np.full(128, np.inf, "<f4").tobytes(),
        (unit(1) * 2).astype("<f4").tobytes(),
    ],
)
def test_what_is_sealed_rightly_and_is_no_unit_vector_is_no_template(plain: bytes):
    sealed = seal(OLD.key, 1, b"n" * 12, plain, template_binding(METRO, NORTH, SUBJECT, RECIPE))
    assert vault().open(SUBJECT, SealedTemplate(sealed, 1, RECIPE, 3)) is None


def test_a_template_that_is_not_as_long_as_the_packs_is_not_opened():
    sealed = vault().seal(template(dimensions=64), draw())
    kiosks = Vault(METRO, NORTH, secrets(OLD), dimensions=128)
    assert kiosks.open(SUBJECT, sealed) is None
    assert kiosks.open(SUBJECT, vault().seal(template(), draw())) is not None
