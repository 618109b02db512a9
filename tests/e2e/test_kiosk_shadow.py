"""Settings that central desires of a kiosk: the kiosk's side, against a real central over a real broker."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from edge.adapters.central.shadow import (
    AT_START,
    DESIRED_FILE,
    LIVE,
    SETTABLE,
    Shadow,
    read_desired,
    with_desired,
)
from edge.adapters.central.uplink import Uplink
from edge.config import GateSection, KioskConfig, KioskSection, ScreenSection
from tests.doubles.central_rig import Rig
from tests.doubles.kiosk_rig import Kiosk, filled, forge
from tests.doubles.waiting import eventually
from wire import topics
from wire.fields import SETTING_MAX
from wire.fleet import SETTINGS_MAX, Desired, Setting, SettingRemark
from wire.ids import KioskId
from wire.signing import Signer
from wire.topics import TopicKind

KIOSK = KioskId("gate-1")
OWN = KioskConfig(kiosk=KioskSection("s"), gate=GateSection("g", "p", "k"), screen=ScreenSection())


def desired(version: int, **settings: str) -> Desired:
    """`screen__language="de"` for `screen.language`."""
    return Desired(version, tuple(Setting(key.replace("__", "."), value) for key, value in settings.items()))


def keep(folder: Path, content: bytes) -> None:
    (folder / DESIRED_FILE).write_bytes(content)


class Taken:
    """What the kiosk was told to take up."""

    def __init__(self) -> None:
        self.configs: list[KioskConfig] = []

    def shadow(self, uplink: Uplink, folder: Path) -> Shadow:
        running, _ = with_desired(OWN, read_desired(folder))
        return Shadow(uplink.link, folder, OWN, running, self.configs.append)


@pytest.mark.parametrize(
    ("settings", "remark"),
    [
        ({"zone__polygon": "x"}, SettingRemark.NOT_SETTABLE),
        ({"standing__grace_s": "600"}, SettingRemark.NOT_SETTABLE),
        ({"release__open_ms": "600"}, SettingRemark.NOT_SETTABLE),
        ({"screen__port": "80"}, SettingRemark.NOT_SETTABLE),
        ({"screen__language__x": "de"}, SettingRemark.NOT_SETTABLE),
        ({"release__linger_ms": "30001"}, SettingRemark.BAD_VALUE),
        ({"release__linger_ms": "soon"}, SettingRemark.BAD_VALUE),
        ({"release__linger_ms": ""}, SettingRemark.BAD_VALUE),
        ({"screen__language": "xx"}, SettingRemark.BAD_VALUE),
        ({"screen__language": "../en"}, SettingRemark.BAD_VALUE),
        ({"camera__fps": "0"}, SettingRemark.BAD_VALUE),
    ],
)
def test_what_is_not_in_the_table_or_out_of_bounds_changes_nothing_and_says_so(settings, remark):
    config, remarks = with_desired(OWN, desired(1, **settings))
    assert config == OWN
    assert set(remarks.values()) == {remark}


def test_every_key_of_the_table_can_be_desired_and_none_decides_who_passes():
    values = {"screen.language": "de"}
    message = Desired(1, tuple(Setting(key, values.get(key, "200")) for key in SETTABLE))
    config, remarks = with_desired(OWN, message)
    assert remarks == {"camera.fps": SettingRemark.BAD_VALUE, "pack.threads": SettingRemark.BAD_VALUE}
    assert (config.screen.language, config.release.linger_ms, config.records.max_mb) == ("de", 200, 200)
    untouched = ("match", "search", "confirm", "gate", "zone", "tracking", "broker", "kiosk")
    assert all(getattr(config, section) == getattr(OWN, section) for section in untouched)
    assert (config.standing.fresh_s, config.standing.grace_s) == (OWN.standing.fresh_s, OWN.standing.grace_s)
    assert set(LIVE).isdisjoint(AT_START)


async def test_a_later_desired_version_is_taken_up_kept_over_a_restart_and_reported(rig: Rig, kiosk: Kiosk):
    shadows = rig.central.use_cases.shadows
    taken = Taken()
    async with kiosk.running() as uplink:
        taken.shadow(uplink, kiosk.folder)
        shadows.set(KIOSK, {"release.linger_ms": "100", "camera.fps": "15", "screen.nothing": "1"})
        await eventually(lambda: shadows.of(KIOSK).reported_version == 1)
        known = shadows.of(KIOSK)
        assert (known.reported["release.linger_ms"], known.reported["camera.fps"]) == ("100", "30")
        assert known.remarks == {"camera.fps": "needs_restart", "screen.nothing": "not_settable"}
        assert set(known.reported) == set(SETTABLE)
        (config,) = taken.configs
        assert (config.release.linger_ms, config.camera.fps) == (100, 30)
    async with kiosk.running() as uplink:
        again = taken.shadow(uplink, kiosk.folder)
        assert (again.running.release.linger_ms, again.running.camera.fps) == (100, 15)
        await eventually(lambda: shadows.of(KIOSK).reported["camera.fps"] == "15")
        assert shadows.of(KIOSK).remarks == {"screen.nothing": "not_settable"}
        shadows.set(KIOSK, {"release.linger_ms": None, "camera.fps": None})
        await eventually(lambda: shadows.of(KIOSK).reported_version == 2)
        assert taken.configs[-1].release.linger_ms == OWN.release.linger_ms
        assert shadows.of(KIOSK).remarks["camera.fps"] == "needs_restart", "its own value, at its next start"
        assert len(taken.configs) == 2


async def test_older_equal_foreign_and_forbidden_versions_are_ignored_and_counted(rig: Rig, kiosk: Kiosk):
    central = rig.central.use_cases.context.identity.signer
    to = topics.kiosk_topic(TopicKind.DESIRED, rig.central.use_cases.context.site, KIOSK)
    taken = Taken()
    async with kiosk.running() as uplink:
        await filled(uplink)
        shadow = taken.shadow(uplink, kiosk.folder)

        def send(message: Desired, signer: Signer = central) -> None:
            assert rig.central.link.publish(to, forge(to, message, signer))

        send(desired(5, release__linger_ms="100"))
        await eventually(lambda: shadow.running.release.linger_ms == 100)
        send(desired(5, release__linger_ms="200"))
        send(desired(4, release__linger_ms="200"))
        send(desired(9, release__linger_ms="200"), Signer.from_seed(b"x" * 32))
        send(desired(9, match__max_fmr="1e-2"))
        send(desired(9, gate__port="/dev/null"))
        expected = {"older_desired": 2, "unknown_key": 1, "malformed": 2}
        await eventually(lambda: uplink.link.ignored == expected)
        assert (shadow.reported().version, shadow.running.release.linger_ms) == (5, 100)
        assert len(taken.configs) == 1
        retained = forge(to, desired(6, release__linger_ms="300"), central)
        assert rig.central.link.publish_retained(to.topic, retained)
        await eventually(lambda: shadow.running.release.linger_ms == 300)
    async with kiosk.running() as uplink:
        shadow = taken.shadow(uplink, kiosk.folder)
        await filled(uplink)
        send(desired(5))
        await eventually(lambda: uplink.link.ignored["older_desired"] == 1)
        assert uplink.link.ignored == {"older_desired": 1}
        assert shadow.running.release.linger_ms == 300, "the stored copy of what it has is no news"


async def test_the_longest_version_is_reported_within_8_kib(rig: Rig, kiosk: Kiosk):
    wide = "screen." + "k" * (SETTING_MAX - 9)
    settings = tuple(Setting(f"{wide}{number:02}", "v" * 64) for number in range(SETTINGS_MAX))
    message = Desired(2**53 - 1, settings)
    keep(kiosk.folder, msgspec.json.encode(message))
    async with kiosk.running() as uplink:
        shadow = Taken().shadow(uplink, kiosk.folder)
        reported = shadow.reported()
        assert len(reported.remarks) == SETTINGS_MAX
        assert uplink.link.publication(TopicKind.REPORTED, reported).payload


def test_a_damaged_file_of_desired_settings_is_left_out_and_central_tells_it_again(tmp_path: Path):
    assert read_desired(tmp_path) == Desired(0, ())
    keep(tmp_path, os.urandom(64))
    assert read_desired(tmp_path) == Desired(0, ())
    for key, version in (("gate.port", 0), ("screen.x", 3)):
        keep(tmp_path, f'{{"type":"desired","version":3,"settings":[["{key}","1"]]}}'.encode())
        assert read_desired(tmp_path).version == version


async def test_a_version_that_the_disk_does_not_take_is_not_taken_up_either(rig: Rig, kiosk: Kiosk):
    taken = Taken()
    async with kiosk.running() as uplink:
        await filled(uplink)
        shadow = taken.shadow(uplink, kiosk.folder / "device.key")  # no folder, and never one
        rig.central.use_cases.shadows.set(KIOSK, {"release.linger_ms": "100"})
        await eventually(lambda: uplink.link.ignored["desired_not_kept"] == 1)
        assert (shadow.reported().version, taken.configs) == (0, [])
