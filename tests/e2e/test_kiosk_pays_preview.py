"""What a kiosk that takes money offers to its live picture: the payer's face, while it is looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from edge.capture.sample import Box, Frame
from edge.compare.claim import qr_text
from edge.enact.display import AgreeByChosen, Agreed, Prompt
from edge.passage.state import Phase
from scripts.people.cast import MEMBERS, Cast
from scripts.people.clip import ClipFormat, Studio
from tests.doubles.counter import TEA, open_counter
from tests.doubles.lane import FACES, PATIENT, Floor
from tests.doubles.waiting import eventually
from wire.values import AgreeBy


@dataclass
class Hall:
    """A studio that is never empty of what its floor shows."""

    floor: Floor

    def empty(self) -> Floor:
        return self.floor


async def test_the_payers_face_is_clear_until_they_have_agreed_and_nobodys_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = Floor(Cast(), Studio(7, ClipFormat(frames_per_s=10)))
    async with open_counter(tmp_path) as counter:
        confirm = msgspec.structs.replace(counter.config.confirm, challenge="never")
        counter.config = msgspec.structs.replace(counter.config, confirm=confirm, tracking=PATIENT)
        counter.studio = Hall(floor)
        async with counter.running() as kiosk:
            offers: list[tuple[Phase, Box | None]] = []

            def offer(_: Frame, face: Box | None) -> None:
                offers.append((kiosk.kiosk.passage.phase, face))

            monkeypatch.setattr(kiosk.kiosk._watch._preview, "offer", offer)

            def clear() -> set[Phase]:
                return {phase for phase, face in offers if face is not None}

            counter.central.use_cases.ledger.top_up(counter.member.subject, 1000, "EUR")
            floor.person(FACES[MEMBERS[0].name])
            await counter.till("POST", "/checkouts", TEA)
            await eventually(lambda: len(offers) >= 5, "frames are offered while a claim is awaited")
            assert clear() == set()
            floor.code(qr_text(counter.member.claim))
            await eventually(lambda: kiosk.kiosk.passage.phase is Phase.IDENTIFYING, "the claim is read")
            floor.person(FACES[MEMBERS[0].name])
            await eventually(lambda: counter.shown[-1].prompt is Prompt.AGREE, "the face is the member's")
            counter.screen.press(AgreeByChosen(AgreeBy.SMILE))
            await eventually(lambda: Phase.AGREEING in clear(), "a smile is watched for")
            counter.screen.press(Agreed())
            assert (await counter.settled()).identified_by == "face"
            assert clear() <= {Phase.IDENTIFYING, Phase.AGREEING}
