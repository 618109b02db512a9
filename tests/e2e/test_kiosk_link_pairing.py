"""Pairing and starting: what goes wrong is named with what to do, and leaves nothing half done."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import NoReturn

import msgspec
import numpy as np
import pytest

from edge.adapters.central.pairing import Identity, keep_secrets, load_identity, pair
from edge.adapters.central.uplink import Uplink, UplinkConfig, open_uplink
from edge.adapters.storage.vault import Vault
from edge.compare.claim import Claim
from edge.compare.gallery import Template
from edge.compare.member import KnownMember
from edge.errors import PairingError, StoreError
from tests.doubles.central_rig import RIDE, Clock, Rig, new_config, running
from tests.doubles.kiosk_rig import enrol, face, filled, paired
from tests.doubles.waiting import WAIT_S, eventually
from wire.ids import KioskId, SubjectId
from wire.pairing import GalleryKey
from wire.values import GalleryRow


async def attempt(url: str, code: str, folder: Path) -> Identity:
    return await pair(url, code, folder, software="0.1.0", random_bytes=os.urandom)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*")) if folder.exists() else []


async def test_a_paired_kiosk_reads_back_what_it_was_granted(rig: Rig, tmp_path: Path):
    code = rig.central.use_cases.kiosks.add(KioskId("gate-1"), RIDE)
    made = await attempt(rig.central.http_url, code, tmp_path / "kiosk")
    read = load_identity(tmp_path / "kiosk", os.urandom)
    assert (read.operator, read.site, read.kiosk, read.purpose) == ("metro", "north", "gate-1", "ride")
    assert read.secrets == made.secrets == rig.central.use_cases.context.secrets
    assert read.root_public_key == rig.central.use_cases.context.identity.credentials.root_public_key
    assert read.signer.public_key == made.signer.public_key
    assert {(tmp_path / "kiosk" / name).stat().st_mode & 0o777 for name in files(tmp_path / "kiosk")} == {
        0o600
    }
    plain = b"".join((tmp_path / "kiosk" / name).read_bytes() for name in files(tmp_path / "kiosk"))
    assert read.secrets.claim_key not in plain
    assert str(read.secrets) not in repr(read)


async def test_a_wrong_a_used_and_a_malformed_code_are_refused_by_a_sentence(rig: Rig, tmp_path: Path):
    url, folder = rig.central.http_url, tmp_path / "kiosk"
    with pytest.raises(PairingError, match="make a new one with `stile central kiosk add`"):
        await attempt(url, "ABCD-EFGH-IJKL-MNOP", folder)
    with pytest.raises(PairingError, match="four groups of four"):
        await attempt(url, "1234", folder)
    code = rig.central.use_cases.kiosks.add(KioskId("gate-1"), RIDE)
    await attempt(url, code, tmp_path / "first")
    with pytest.raises(PairingError, match="unknown, used or older"):
        await attempt(url, code, folder)
    assert files(folder) == []


async def test_a_central_that_is_not_there_or_is_something_else_is_named(rig: Rig, tmp_path: Path):
    code = rig.central.use_cases.kiosks.add(KioskId("gate-1"), RIDE)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(PairingError, match="central does not answer"):
            await attempt(f"http://127.0.0.1:{nobody.getsockname()[1]}", code, tmp_path / "kiosk")
    with pytest.raises(PairingError, match="is that the address of Stile's central"):
        await attempt(rig.central.http_url + "/elsewhere", code, tmp_path / "kiosk")
    assert (await attempt(rig.central.http_url, code, tmp_path / "kiosk")).kiosk == "gate-1"


async def test_a_paired_folder_is_not_paired_over(rig: Rig, tmp_path: Path):
    await paired(rig, tmp_path / "kiosk")
    before = (tmp_path / "kiosk" / "identity").read_bytes()
    code = rig.central.use_cases.kiosks.add(KioskId("gate-2"), RIDE)
    with pytest.raises(PairingError, match="paired already"):
        await attempt(rig.central.http_url, code, tmp_path / "kiosk")
    assert (tmp_path / "kiosk" / "identity").read_bytes() == before


async def test_an_unpaired_an_open_and_a_mixed_up_folder_do_not_start(rig: Rig, tmp_path: Path):
    folder = tmp_path / "kiosk"
    wire = UplinkConfig(software="0.1.0", recipe_digest="ab" * 32)
    with pytest.raises(StoreError, match="pair this kiosk"):
        async with open_uplink(folder, wire):
            pass
    await paired(rig, folder)
    (folder / "device.key").chmod(0o644)
    with pytest.raises(StoreError, match="chmod 600"):
        async with open_uplink(folder, wire):
            pass
    (folder / "device.key").chmod(0o600)
    (folder / "device.key").write_bytes(os.urandom(32))
    with pytest.raises(StoreError, match=r"put back the device\.key"):
        async with open_uplink(folder, wire):
            pass


async def test_a_damaged_outbox_stops_the_start_and_stays_as_it_is(rig: Rig, tmp_path: Path):
    kiosk = await paired(rig, tmp_path / "kiosk")
    async with kiosk.running():
        pass
    outbox = kiosk.folder / "outbox.sqlite3"
    outbox.write_bytes(b"damaged" * 4096)
    with pytest.raises(StoreError, match="nothing is thrown away"):
        async with kiosk.running():
            pass
    assert outbox.read_bytes() == b"damaged" * 4096


async def test_new_gallery_keys_survive_a_restart(rig: Rig, tmp_path: Path):
    kiosk = await paired(rig, tmp_path / "kiosk")
    secrets = load_identity(kiosk.folder, os.urandom).secrets
    rotated = msgspec.structs.replace(
        secrets, gallery_keys=(*secrets.gallery_keys, GalleryKey(2, b"g" * 32, b"r" * 32))
    )
    keep_secrets(kiosk.folder, rotated, os.urandom)
    assert load_identity(kiosk.folder, os.urandom).secrets == rotated


async def test_a_kiosk_without_the_newest_gallery_key_asks_for_it_and_keeps_it(rig: Rig, tmp_path: Path):
    kiosk = await paired(rig, tmp_path / "kiosk")
    right = load_identity(kiosk.folder, os.urandom).secrets
    older = msgspec.structs.replace(right, gallery_keys=(GalleryKey(9, b"g" * 32, b"r" * 32),))
    keep_secrets(kiosk.folder, older, os.urandom)
    subject, claim = enrol(rig)
    async with kiosk.running() as uplink:
        await filled(uplink, subject)
        before = await uplink.members.resolve(claim)
        assert isinstance(before, KnownMember)
        assert before.template is None
        await eventually(lambda: uplink.members.vault.has_key(1))
        after = await uplink.members.resolve(claim)
        assert isinstance(after, KnownMember)
        assert after.template is not None
        await eventually(lambda: load_identity(kiosk.folder, os.urandom).secrets == right)


async def test_what_a_revoked_kiosk_holds_opens_nothing_new_and_the_others_read_on(rig: Rig, tmp_path: Path):
    stays, stolen = await paired(rig, tmp_path / "stays"), await paired(rig, tmp_path / "stolen", "gate-2")
    before, claim = enrol(rig, 1)
    context = rig.central.use_cases.context
    async with stays.running() as uplink:
        await filled(uplink, before)
        rig.central.use_cases.kiosks.revoke(KioskId("gate-2"))
        after, later_claim = enrol(rig, 2)
        rig.central.publish_heads()
        for subject, held, seed in ((before, claim, 1), (after, later_claim, 2)):
            await eventually(lambda subject=subject: sealed_under(uplink, subject) == 2)
            template = await opened(uplink, held)
            assert np.allclose(template.vector, face(seed), atol=1e-5)
        rows = [row for row in uplink.cache.members() if isinstance(row, GalleryRow) and row.template]
    theirs = Vault(context.operator, context.site, load_identity(stolen.folder, os.urandom).secrets)
    assert len(rows) == 2
    assert [theirs.open(row.subject, row.template) for row in rows] == [None, None]
    async with stolen.running() as uplink:
        assert await uplink.members._fetch_keys() is None
        assert not uplink.members.vault.has_key(2)


async def opened(uplink: Uplink, claim: Claim) -> Template:
    """The template of a claim, once the kiosk has asked for the key it wants."""
    async with asyncio.timeout(WAIT_S):
        while True:
            known = await uplink.members.resolve(claim)
            if isinstance(known, KnownMember) and known.template is not None:
                return known.template
            await asyncio.sleep(0.01)


def sealed_under(uplink: Uplink, subject: SubjectId) -> int | None:
    row = uplink.cache.member(subject)
    return row.template.key_version if isinstance(row, GalleryRow) and row.template else None


async def test_a_change_of_the_key_that_was_cut_short_is_finished_at_the_next_start(tmp_path: Path):
    clock = Clock()
    config = new_config(tmp_path, clock)
    async with running(config, clock) as rig:
        subjects = [enrol(rig, seed)[0] for seed in range(3)]
        keys = rig.central.use_cases.context.keys
        keys._store.sealed_before = severed  # type: ignore[method-assign]
        with pytest.raises(ConnectionError):
            keys.rotate()
    async with running(config, clock) as rig:
        use_cases = rig.central.use_cases
        versions = [use_cases.members._store.template(subject).key_version for subject in subjects]
        assert versions == [2, 2, 2]


def severed(key_version: int, most: int) -> NoReturn:
    """A database that goes away at the worst moment."""
    raise ConnectionError
