"""What would show in a log, should anybody ever print it: no key."""

from __future__ import annotations

import pytest

from central.trial import TrialReviewer
from edge.adapters.central.pairing import _Stored
from edge.enact.display import PinEntered
from edge.passage.effects import CheckPin
from firmware_bridge.auth import derive_keys
from wire.ids import PassageId, SubjectId
from wire.pairing import GalleryKey, SiteSecrets
from wire.signing import Signer

SECRET = bytes(range(65, 97))
SECRETS = SiteSecrets((GalleryKey(1, SECRET, SECRET),), SECRET)


@pytest.mark.parametrize(
    "holder",
    [
        SECRETS,
        SECRETS.gallery_keys[0],
        TrialReviewer(Signer.from_seed(SECRET), None),  # type: ignore[arg-type]
        _Stored(SECRET, SECRET, None, SECRETS),  # type: ignore[arg-type]
        Signer.from_seed(SECRET),
        derive_keys(SECRET, "gate-1"),
        CheckPin(PassageId("2" * 32), SubjectId("1" * 32), PinEntered(SECRET.decode())),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_a_secret_is_not_in_what_is_printed_of_its_holder(holder: object):
    for printed in (repr(holder), str(holder), f"{[holder]}"):
        assert SECRET.decode()[:8] not in printed
        assert SECRET.hex()[:16] not in printed
