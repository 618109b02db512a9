"""Central orders kiosks, desires settings of them and shows them in Home Assistant, over a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.adapters.broker.access import acl
from central.config import HomeAssistantConfig, load_config
from central.errors import RefusedError, UnknownError
from central.rules.fleet import Order
from tests.doubles.central_rig import Clock, KioskEnd, Rig, kiosk_state, running
from tests.doubles.waiting import eventually
from wire.fleet import (
    CacheAge,
    Command,
    CommandAction,
    Desired,
    Health,
    Metric,
    OrderAnswer,
    OrderOutcome,
    Presence,
    RemarkedSetting,
    Reported,
    Setting,
    SettingRemark,
)
from wire.ids import BootId, KioskId, PassageId, SiteId
from wire.topics import TopicKind
from wire.transport.mqtt import Callbacks, Connection, Endpoint
from wire.transport.outgoing import Publication

GATE_1 = KioskId("gate-1")


async def commanded(end: KioskEnd, count: int = 1) -> list[Command]:
    """What this kiosk was ordered, once it was ordered so often."""

    def heard() -> list[Command] | None:
        found = [each.message for each in end.heard if isinstance(each.message, Command)]
        return found if len(found) >= count else None

    return await end.wait_for(heard)


def order(rig: Rig, action: CommandAction = CommandAction.RELEASE_EXIT, life_s: int = 10) -> Order:
    return rig.central.use_cases.commands.order(GATE_1, action, "ada", life_s)


async def test_an_order_reaches_its_kiosk_signed_and_once_and_what_became_of_it_is_known(rig: Rig):
    async with rig.kiosk() as end, rig.kiosk("gate-2") as other:
        given = order(rig)
        (heard,) = await commanded(end)
        assert (heard.action, heard.staff, heard.gate) == (CommandAction.RELEASE_EXIT, "ada", None)
        assert (heard.nonce, heard.not_after_ms - heard.issued_at_ms) == (given.nonce, 10_000)
        passage = PassageId("7" * 32)
        other.send(
            TopicKind.STATE, kiosk_state(other, orders=(OrderAnswer(given.nonce, OrderOutcome.GATE_FAULT),))
        )
        await eventually(lambda: "gate-2" in rig.central.use_cases.kiosks.sightings())
        assert rig.central.use_cases.commands.of(given.nonce).outcome is None, (
            "it is not the other one's to say"
        )
        end.send(
            TopicKind.STATE,
            kiosk_state(end, orders=(OrderAnswer(given.nonce, OrderOutcome.OBEYED, passage),)),
        )
        await eventually(lambda: rig.central.use_cases.commands.of(given.nonce).outcome)
        end.send(TopicKind.STATE, kiosk_state(end, orders=(OrderAnswer(given.nonce, OrderOutcome.LATE),)))
        order(rig)
        await commanded(end, 2)
        known = rig.central.use_cases.commands.of(given.nonce)
        assert (known.outcome, known.passage) == (OrderOutcome.OBEYED, passage)
        assert not [each for each in other.heard if isinstance(each.message, Command)]


async def test_an_order_that_is_over_before_a_broker_is_there_is_never_sent(rig: Rig):
    async with rig.kiosk() as end:
        await rig.central.link.close()
        late = order(rig, life_s=5)
        await rig.central.announcer.look()
        rig.clock.advance(5_001)
        rig.central.link.open(rig.central.broker.host, rig.central.broker.port)
        await rig.central.link.connected.wait()
        good = order(rig)
        (heard,) = await commanded(end)
        assert heard.nonce == good.nonce
        assert rig.central.use_cases.commands.of(late.nonce).sent_at_ms is None


async def test_orders_for_strangers_for_too_long_and_of_nobody_are_refused(rig: Rig):
    commands = rig.central.use_cases.commands
    async with rig.kiosk():
        with pytest.raises(UnknownError, match="gate-9"):
            commands.order(KioskId("gate-9"), CommandAction.CLOSE_LANE, "ada")
        with pytest.raises(RefusedError, match="1 to 60 seconds"):
            order(rig, life_s=61)
        with pytest.raises(RefusedError, match="named by"):
            commands.order(GATE_1, CommandAction.CLOSE_LANE, "Ada L.")
        rig.central.use_cases.kiosks.revoke(GATE_1)
        with pytest.raises(UnknownError, match="gate-1"):
            order(rig)


async def test_the_api_orders_and_desires_as_the_command_line_does(rig: Rig):
    async with rig.kiosk() as end, rig.http() as http:
        body = {"action": "close_lane", "staff": "ada"}
        given = await http.post("/v1/kiosks/gate-1/commands", json=body)
        assert given.status_code == 201
        (heard,) = await commanded(end)
        assert heard.action is CommandAction.CLOSE_LANE
        nonce = given.json()["nonce"]
        assert (await http.get(f"/v1/commands/{nonce}")).json()["outcome"] is None
        assert (await http.get(f"/v1/commands/{'0' * 32}")).status_code == 404
        assert (await http.post("/v1/kiosks/gate-1/commands", json={**body, "for_s": 61})).status_code == 422
        answered = await http.patch(
            "/v1/kiosks/gate-1/settings", json={"settings": {"screen.language": "de"}}
        )
        assert answered.json()["desired"] == {"screen.language": "de"}
        for key in ("match.max_fmr", "gate.id", "keys.root", "language"):
            refused = await http.patch("/v1/kiosks/gate-1/settings", json={"settings": {key: "1"}})
            assert (refused.status_code, refused.json()["error"]) == (422, "refused")
        shown = await http.get("/v1/kiosks/gate-1/settings")
        assert (shown.json()["desired_version"], shown.json()["reported_version"]) == (1, 0)


# --- the shadow


@contextlib.asynccontextmanager
async def reading(rig: Rig, *topics: str) -> AsyncIterator[list[tuple[str, bytes, bool]]]:
    """Everything, stored copies first, that anybody would read on these topics."""
    heard: list[tuple[str, bytes, bool]] = []
    farewell = Publication("elsewhere", b"", 0, retained=False)
    connection = Connection(
        Endpoint(rig.central.broker.host, rig.central.broker.port, f"reader-{len(topics)}", None, None),
        tuple((topic, 1) for topic in topics),
        Callbacks(lambda: farewell, lambda: None, lambda: None, lambda *said: heard.append(said)),
        random.Random(1),
    )
    life = asyncio.create_task(connection.run())
    try:
        yield heard
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


def desired_by(end: KioskEnd) -> list[Desired]:
    return [each.message for each in end.heard if isinstance(each.message, Desired)]


async def test_a_desired_version_is_told_whole_retained_and_with_a_version_above_any_the_kiosk_knows(
    rig: Rig,
):
    shadows = rig.central.use_cases.shadows
    async with rig.kiosk() as end, rig.kiosk("gate-2") as other:
        shadows.set(GATE_1, {"screen.language": "de", "camera.fps": "15"})
        (first,) = await end.wait_for(lambda: desired_by(end) or None)
        assert first == Desired(1, (Setting("camera.fps", "15"), Setting("screen.language", "de")))
        known = Reported(
            7,
            (Setting("screen.language", "de"),),
            (RemarkedSetting("camera.fps", SettingRemark.NEEDS_RESTART),),
        )
        end.send(TopicKind.REPORTED, known)
        await eventually(lambda: shadows.of(GATE_1).reported_version == 7)
        shown = shadows.of(GATE_1)
        assert (shown.reported, shown.remarks) == (
            {"screen.language": "de"},
            {"camera.fps": "needs_restart"},
        )
        shadows.set(GATE_1, {"camera.fps": None})
        await end.wait_for(lambda: desired_by(end)[1:] or None)
        assert desired_by(end)[1] == Desired(8, (Setting("screen.language", "de"),))
        assert desired_by(other) == []
        async with reading(rig, end.address(TopicKind.DESIRED).topic) as heard:
            await eventually(lambda: heard)
            assert heard[0][2], "it lies at the broker for whoever comes later"


async def test_a_kiosk_that_still_reports_an_older_version_is_told_the_newest_again(rig: Rig):
    async with rig.kiosk() as end:
        rig.central.use_cases.shadows.set(GATE_1, {"screen.language": "de"})
        await end.wait_for(lambda: desired_by(end) or None)
        rig.clock.advance(1)
        end.send(TopicKind.REPORTED, Reported(0, ()))
        await end.wait_for(lambda: desired_by(end)[1:] or None)
        rig.clock.advance(1)
        end.send(TopicKind.REPORTED, Reported(1, ()))
        await eventually(lambda: rig.central.use_cases.shadows.of(GATE_1).reported_version == 1)
        await rig.central.announcer.look()
        assert len(desired_by(end)) == 2


async def test_a_broker_that_lost_everything_is_told_every_desired_setting_again(rig: Rig):
    async with rig.kiosk() as end:
        rig.central.use_cases.shadows.set(GATE_1, {"screen.language": "de"})
        await end.wait_for(lambda: desired_by(end) or None)
        rig.central.on_connect()
        await end.wait_for(lambda: desired_by(end)[1:] or None)
        assert desired_by(end)[0] == desired_by(end)[1]


async def test_central_desires_nothing_that_decides_who_passes_and_no_more_than_8_kib(rig: Rig):
    async with rig.kiosk():
        shadows = rig.central.use_cases.shadows
        for key in (
            "match.max_fmr",
            "search.mode",
            "confirm.challenge",
            "gate.port",
            "key.file",
            "keys.x",
            "X",
        ):
            with pytest.raises(RefusedError, match="set at the kiosk itself"):
                shadows.set(GATE_1, {key: "1"})
        assert shadows.of(GATE_1).desired_version == 0
        wide = {f"screen.{'k' * 50}{number:02}": "\N{SNOWMAN}" * 64 for number in range(48)}
        with pytest.raises(RefusedError, match="at most 48 settings"):
            shadows.set(GATE_1, wide)
        with pytest.raises(RefusedError, match="at most 48 settings"):
            shadows.set(GATE_1, {f"screen.k{number:02}": "1" for number in range(49)})
        full = {f"screen.{'k' * 50}{number:02}": "v" * 64 for number in range(48)}
        shadows.set(GATE_1, full)
        await rig.central.announcer.look()
        assert shadows.of(GATE_1).desired == full


# --- Home Assistant


@pytest.fixture
def asked_for(config: Path) -> Path:
    config.write_text(config.read_text() + '\n[home_assistant]\ndiscovery_prefix = "homeassistant"\n')
    return config


@pytest.fixture
async def shown(asked_for: Path, clock: Clock) -> AsyncIterator[Rig]:
    async with running(asked_for, clock) as rig:
        yield rig


async def test_each_kiosk_is_a_device_in_home_assistant_until_it_is_revoked(shown: Rig):
    async with shown.kiosk() as end, reading(shown, "homeassistant/#") as heard:

        def newest(part: str) -> dict | None:
            found = [payload for topic, payload, _ in heard if topic.endswith(part)]
            return json.loads(found[-1]) if found and found[-1] else None

        caches = (CacheAge("standing", 1, 1, 12_700, "fresh"),)
        end.send(TopicKind.STATE, kiosk_state(end, caches=caches, notes=("photo_risk",)))
        end.send(
            TopicKind.HEALTH,
            Health(GATE_1, BootId("2" * 32), end.clock.ms, (Metric("outbox_waiting_count", 3.0),)),
        )
        await eventually(lambda: (newest("/state") or {}).get("waiting_records") == 3)
        assert newest("/state") == {
            "presence": "ready",
            "standing_age_s": 12,
            "waiting_records": 3,
            "fault": "off",
            "faults": [],
            "lane": "open",
        }
        topic = "homeassistant/device/stile-metro-north-gate-1/config"
        assert topic in {each for each, _, _ in heard}
        device = newest("/config")
        assert device["device"]["identifiers"] == ["stile-metro-north-gate-1"]
        assert device["origin"]["name"] == "stile"
        state_topic = "homeassistant/stile/north/gate-1/state"
        assert device["state_topic"] == state_topic
        told = newest("/state")
        for key, entity in device["components"].items():
            assert entity["value_template"] == f"{{{{ value_json.{key} }}}}"
            assert key in told
            assert entity["unique_id"] == f"stile-metro-north-gate-1-{key}"
            assert entity["platform"] in {"sensor", "binary_sensor"}
        assert told["presence"] in device["components"]["presence"]["options"]

        end.send(
            TopicKind.STATE, kiosk_state(end, notes=("camera_black", "lane_closed"), presence=Presence.ALERT)
        )
        await eventually(lambda: newest("/state")["fault"] == "on")
        assert (newest("/state")["faults"], newest("/state")["lane"]) == (["camera_black"], "closed")

        before = len([each for each in heard if each[0] == state_topic])
        shown.clock.advance(60_000)
        await eventually(lambda: len([each for each in heard if each[0] == state_topic]) > before)

        shown.central.use_cases.kiosks.revoke(GATE_1)
        await eventually(lambda: (topic, b"", False) in heard)


def test_where_the_broker_asks_for_certificates_home_assistant_may_read_its_prefix_and_nothing_else():
    entries = acl(SiteId("north"), [], "homeassistant").split("\n\n")
    (own,) = [entry for entry in entries if "user home-assistant" in entry]
    assert own.splitlines() == ["user home-assistant", "topic read homeassistant/#"]
    assert sum("topic write homeassistant/#" in entry for entry in entries) == 1
    assert "home" not in acl(SiteId("north"), [])


async def test_home_assistant_is_told_nothing_unless_it_is_asked_for(rig: Rig):
    assert load_config(rig.config).settings.home_assistant == HomeAssistantConfig(None)
    async with (
        rig.kiosk() as end,
        reading(rig, "homeassistant/#", end.address(TopicKind.DESIRED).topic) as heard,
    ):
        end.send(TopicKind.STATE, kiosk_state(end))
        await eventually(lambda: "gate-1" in rig.central.use_cases.kiosks.sightings())
        rig.central.use_cases.shadows.set(GATE_1, {"screen.language": "de"})
        await eventually(lambda: heard)
        await rig.central.announcer.look()
        assert {topic for topic, _, _ in heard} == {end.address(TopicKind.DESIRED).topic}
