"""Staff order a kiosk from afar as `stile central kiosk` does, over broker and central: a real gate line."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from edge.adapters.central.commands import StaffOrders, lane_was_closed
from edge.decide.verdict import decide
from edge.enact.display import OtherWayAsked, PinEntered, Prompt
from edge.enact.record import circumstances_of
from edge.passage.observations import StaffReleases
from firmware_bridge.gate import LinkStatus
from firmware_bridge.messages import Direction
from firmware_bridge.simulator.device import SimulatedGate
from scripts.cli.central.app import app
from tests.doubles.central_rig import Rig
from tests.doubles.kiosk_rig import Kiosk, Watcher, filled, forge
from tests.doubles.lane import Lane
from tests.doubles.waiting import eventually
from tests.doubles.waiting import eventually as soon
from wire import topics
from wire.fleet import Command, CommandAction, OrderOutcome
from wire.ids import GateId, Nonce, PassageId
from wire.records import GateOutcome, PassRecord
from wire.topics import TopicKind

KIOSK = "turnstile-1"


@pytest.fixture(autouse=True)
def soon_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kiosk looks more often than in the field whether its state has changed."""
    monkeypatch.setattr("edge.adapters.central.reporter.STATE_LOOK_S", 0.05)


async def stile(lane: Lane, *words: str) -> dict[str, Any]:
    """What an operator types beside a running central, and the object it ends with."""
    config = Path(lane.stage.config.kiosk.state_dir).parent / "central" / "central.toml"
    line = ["kiosk", *words, "--config", str(config), "--json"]
    typed = await asyncio.to_thread(CliRunner().invoke, app, line)
    assert typed.stdout, typed.output
    return {**json.loads(typed.stdout.splitlines()[-1]), "exit_code": typed.exit_code}


async def ordered(lane: Lane, action: str, seconds: int = 60) -> dict[str, Any]:
    return await stile(lane, "command", KIOSK, action, "--staff", "ada", "--for", str(seconds))


async def walks_out(lane: Lane) -> None:
    """Somebody on the far side walks out as soon as the gate is open for them."""
    lane.person.walks = False
    await eventually(lambda: lane.gate(lambda gate: gate.open_passage), "the gate opens")
    lane.gate(lambda gate: gate.walk_through(Direction.EXIT))


async def released(lane: Lane) -> dict[str, Any]:
    """Staff let somebody out, who walks."""
    told, _ = await asyncio.gather(ordered(lane, "release-exit"), walks_out(lane))
    return told


@pytest.mark.asyncio(loop_scope="module")
async def test_staff_let_somebody_out_and_the_record_names_them_and_nobody_else(lane: Lane):
    told = await released(lane)
    assert (told["outcome"], told["exit_code"], told["said"]) == ("obeyed", 0, "done")
    assert Prompt.WELCOME in lane.prompts
    record = await lane.settled()
    assert (record.passage, record.verdict, record.reasons) == (told["passage"], "grant", ("staff_release",))
    assert (record.identified_by, record.staff, record.subject) == ("staff", "ada", None)
    assert record.gate_outcome is GateOutcome.PASSED
    assert (record.standing, record.comparison, record.circumstances.tier) == (None, None, "unknown")
    assert decide(circumstances_of(record)).reasons == tuple(record.reasons)
    assert (await lane.records())[record.passage] == record


@pytest.mark.asyncio(loop_scope="module")
async def test_a_release_waits_for_nobody_it_is_refused_while_somebody_is_in_a_passage(lane: Lane):
    lane.stage.screen.press(OtherWayAsked())
    await eventually(lambda: lane.kiosk.passage.without_face, "the other way is offered")
    await lane.enters_claim("amber")
    await eventually(lambda: Prompt.ENTER_PIN in lane.prompts, "amber is asked for the PIN")
    told = await ordered(lane, "release-entry")
    assert (told["outcome"], told["exit_code"], told["passage"]) == ("passage_under_way", 1, None)
    lane.stage.screen.press(PinEntered(lane.member("amber").pin))
    record: PassRecord = await lane.settled()
    assert (record.verdict, record.identified_by) == ("grant", "claim+pin")
    assert (record.subject, record.staff) == (lane.member("amber").subject, None)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_closed_lane_refers_everybody_says_so_everywhere_and_opens_again(lane: Lane):
    async with Watcher().watching(lane.stage) as watcher:
        assert (await ordered(lane, "close-lane"))["outcome"] == "obeyed"
        await eventually(lambda: Prompt.LANE_CLOSED in lane.prompts, "the screen says it")
        await watcher.state(lambda state: "lane_closed" in state.notes)
        embedded = lane.kiosk.embedded_frames
        await lane.claims("amber")
        record = await lane.settled()
        assert (record.verdict, record.refer_to, record.reasons) == ("refer", "staff", ("lane_closed",))
        assert record.subject is None
        assert lane.kiosk.embedded_frames == embedded, "nobody is looked at for nothing"
        through = await released(lane)
        assert through["outcome"] == "obeyed", "whom staff let through passes a closed lane"
        assert (await lane.settled()).gate_outcome is GateOutcome.PASSED
        watcher.states.clear()
        assert (await ordered(lane, "open-lane"))["outcome"] == "obeyed"
        await watcher.state(lambda state: "lane_closed" not in state.notes)
    lane.person.walks = True
    assert (await lane.passes("amber")).verdict == "grant"


@pytest.mark.asyncio(loop_scope="module")
async def test_an_emergency_and_a_gate_that_is_silent_go_before_an_order(lane: Lane):
    lane.gate(lambda gate: gate.set_fire(True))
    await eventually(lambda: lane.kiosk.passage.surroundings.emergency, "the fire is known")
    assert (await ordered(lane, "release-exit"))["outcome"] == "free_gate"
    lane.gate(lambda gate: gate.set_fire(False))
    await eventually(lambda: not lane.kiosk.passage.surroundings.emergency, "the fire is out")
    lane.gate(SimulatedGate.unplug)
    await eventually(lambda: not lane.gate_is(LinkStatus.UP), "the gate is silent")
    assert (await ordered(lane, "release-exit"))["outcome"] == "gate_fault"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_desired_setting_is_taken_up_while_the_kiosk_runs_and_shown_beside_what_it_has(lane: Lane):
    desired = ["release.linger_ms=250", "screen.language=de", "camera.fps=15", "zone.min_face_height_px=1"]
    told = await stile(lane, "set", KIOSK, *desired)
    assert told["exit_code"] == 0
    await eventually(lambda: lane.kiosk.rules.release.linger_ms == 250, "the desired settings are taken up")
    version = told["version"]

    async def shown() -> dict[str, Any]:
        return {row["key"]: row for row in (await stile(lane, "show", KIOSK))["settings"]}

    use_cases = lane.stage.central.use_cases
    await eventually(lambda: use_cases.shadows.of(KIOSK).reported_version == version, "the kiosk reports")
    rows = await shown()
    assert rows["release.linger_ms"] == {
        "key": "release.linger_ms",
        "desired": "250",
        "reported": "250",
        "remark": None,
    }
    assert (rows["screen.language"]["reported"], rows["camera.fps"]["reported"]) == ("de", "30")
    assert rows["camera.fps"]["remark"] == "needs_restart"
    assert rows["zone.min_face_height_px"]["remark"] == "not_settable"
    assert await spoken(lane) == "de", "the page that is served speaks it already"
    back = await stile(lane, "set", KIOSK, *(f"{each.partition('=')[0]}=" for each in desired))
    await eventually(lambda: use_cases.shadows.of(KIOSK).reported_version == back["version"], "and back")
    assert lane.kiosk.rules.release.linger_ms == lane.stage.config.release.linger_ms
    assert not [row for row in (await shown()).values() if row["desired"] or row["remark"]]
    assert await spoken(lane) == "en"


async def spoken(lane: Lane) -> str:
    """The language in which the kiosk's own screen begins."""
    async with httpx.AsyncClient(base_url=lane.stage.kiosk.screen_url) as browser:
        return (await browser.get("/messages.json")).json()["default"]


# --- one kiosk's orders, without camera and gate


@dataclass
class OneLane:
    """A lane that takes every release, and notes it."""

    lane_closed: bool = False
    released: list[StaffReleases] = field(default_factory=list)

    def close_lane(self, *, closed: bool) -> None:
        self.lane_closed = closed

    def release(self, order: StaffReleases, told: Any) -> None:
        self.released.append(order)
        told(OrderOutcome.OBEYED, PassageId("7" * 32))


def command(letter: bytes, now_ms: int, action: CommandAction, gate: str | None = None) -> Command:
    return Command(Nonce(letter * 16), now_ms, now_ms + 5000, action, gate, "ada")  # type: ignore[arg-type]


async def test_a_lane_that_staff_closed_stays_closed_over_restarts_until_they_open_it(rig: Rig, kiosk: Kiosk):
    for closes in (True, False):
        async with kiosk.running() as uplink:
            await filled(uplink)
            one, told = OneLane(), []
            orders = StaffOrders(kiosk.folder, GateId("g"), one, uplink.clock)
            assert lane_was_closed(kiosk.folder) is not closes
            action = CommandAction.CLOSE_LANE if closes else CommandAction.OPEN_LANE
            given = command(b"a" if closes else b"b", uplink.clock.now_ms(), action)
            orders.obey(given, lambda outcome, _, told=told: told.append(outcome))
            assert one.lane_closed is closes
            assert lane_was_closed(kiosk.folder) is closes
            assert told == [OrderOutcome.OBEYED]


async def test_an_order_for_another_gate_does_nothing_and_every_answer_is_told_for_five_minutes(
    rig: Rig, kiosk: Kiosk
):
    watcher = Watcher()
    async with watcher.watching(rig), kiosk.running() as uplink:
        await filled(uplink)
        one = OneLane()
        kiosk.host.obeys = StaffOrders(kiosk.folder, GateId("g"), one, uplink.clock).obey
        context, now_ms = rig.central.use_cases.context, uplink.clock.now_ms()
        to = topics.kiosk_topic(TopicKind.COMMAND, context.site, uplink.identity.kiosk)
        other = command(b"a", now_ms, CommandAction.RELEASE_ENTRY, "other")
        assert rig.central.link.publish(to, forge(to, other, context.identity.signer))
        await soon(lambda: kiosk.host.orders == [other])
        assert one.released == []
        its_own = command(b"b", now_ms, CommandAction.RELEASE_ENTRY, "g")
        assert rig.central.link.publish(to, forge(to, its_own, context.identity.signer))
        await soon(lambda: len(one.released) == 1)
        (released,) = one.released
        assert (released.direction, released.not_after_ms) == ("entry", uplink.clock.uptime_ms() + 5000)
        told = await watcher.state(lambda state: len(state.orders) == 2)
        assert [answer.outcome for answer in told.orders] == [OrderOutcome.OTHER_GATE, OrderOutcome.OBEYED]
        assert [answer.passage for answer in told.orders] == [None, "7" * 32]
        kiosk.host.passes(300_001)
        watcher.states.clear()
        await watcher.state(lambda state: state.orders == ())


async def test_what_did_nothing_is_answered_with_its_reason_but_a_replay_does_not_change_the_first_word(
    rig: Rig, kiosk: Kiosk
):
    use_cases = rig.central.use_cases
    async with kiosk.running() as uplink:
        await filled(uplink)
        one = OneLane()
        kiosk.host.obeys = StaffOrders(kiosk.folder, GateId("g"), one, uplink.clock).obey
        given = use_cases.commands.order(uplink.identity.kiosk, CommandAction.RELEASE_EXIT, "ada")
        await soon(lambda: use_cases.commands.of(given.nonce).outcome is OrderOutcome.OBEYED)
        use_cases.commands._store.sent_order(
            given.nonce, None
        )  # as if central had forgotten that it was sent
        await soon(lambda: uplink.link.ignored["replayed_command"] == 1)
        kiosk.host.passes(60_000)
        late = use_cases.commands.order(uplink.identity.kiosk, CommandAction.RELEASE_EXIT, "ada")
        await soon(lambda: use_cases.commands.of(late.nonce).outcome is OrderOutcome.LATE)
        assert len(one.released) == 1
        assert use_cases.commands.of(given.nonce).outcome is OrderOutcome.OBEYED
