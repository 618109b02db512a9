"""Another gallery key: templates stay who they are, and who has only the old key reads nothing new."""

from __future__ import annotations

import random

import numpy as np
import pytest

from central.rules.resealing import resealed, rotated
from edge.adapters.storage.vault import Vault
from edge.compare.gallery import Template
from wire.errors import SealBrokenError
from wire.ids import OperatorId, SiteId, SubjectId
from wire.pairing import GALLERY_KEYS_MAX, GalleryKey, SiteSecrets

METRO, NORTH = OperatorId("metro"), SiteId("north")
SUBJECT, RECIPE = SubjectId("a" * 32), "ab" * 32
FIRST = SiteSecrets((GalleryKey(1, b"k" * 32, b"r" * 32),), b"c" * 32)
SECOND = rotated(FIRST, b"l" * 32, b"s" * 32)
DRAW = random.Random(1).randbytes


def template(seed: int = 1) -> Template:
    vector = np.random.default_rng(seed).normal(size=128).astype(np.float32)
    return Template(SUBJECT, vector / np.linalg.norm(vector), RECIPE, 3)


def test_a_template_sealed_anew_is_the_same_template():
    sealed = Vault(METRO, NORTH, FIRST).seal(template(), DRAW)
    anew = resealed(SUBJECT, sealed, secrets=SECOND, operator=METRO, site=NORTH, nonce=bytes(12))
    assert (anew.key_version, anew.recipe_digest, anew.images) == (2, RECIPE, 3)
    opened = Vault(METRO, NORTH, SECOND).open(SUBJECT, anew)
    assert opened is not None
    assert np.allclose(opened.vector, template().vector, atol=1e-5)
    assert resealed(SUBJECT, anew, secrets=SECOND, operator=METRO, site=NORTH, nonce=bytes(12)) is anew


def test_who_has_the_newest_key_opens_old_rows_and_who_has_not_opens_no_new_one():
    old = Vault(METRO, NORTH, FIRST).seal(template(), DRAW)
    assert Vault(METRO, NORTH, SECOND).open(SUBJECT, old) is not None
    new = Vault(METRO, NORTH, SECOND).seal(template(), DRAW)
    assert Vault(METRO, NORTH, FIRST).open(SUBJECT, new) is None


def test_the_rotation_changes_with_the_key():
    alone = SiteSecrets((GalleryKey(2, b"l" * 32, b"r" * 32),), b"c" * 32)
    new = Vault(METRO, NORTH, SECOND).seal(template(), DRAW)
    opened = Vault(METRO, NORTH, alone).open(SUBJECT, new)  # the new key, with the old rotation
    assert opened is not None
    assert abs(float(opened.vector @ template().vector)) < 0.5


def test_only_the_newest_keys_are_kept_and_an_older_template_says_that_it_does_not_open():
    secrets = FIRST
    sealed = Vault(METRO, NORTH, FIRST).seal(template(), DRAW)
    for number in range(GALLERY_KEYS_MAX):
        secrets = rotated(secrets, bytes([number]) * 32, b"s" * 32)
    assert [key.version for key in secrets.gallery_keys] == list(range(2, GALLERY_KEYS_MAX + 2))
    with pytest.raises(SealBrokenError):
        resealed(SUBJECT, sealed, secrets=secrets, operator=METRO, site=NORTH, nonce=bytes(12))
