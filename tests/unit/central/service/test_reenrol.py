"""A change of the recipe: members enrol again, kiosks go on, and nothing goes before somebody says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from central.adapters.db import reenrolments as reenrol_tables
from central.adapters.db.store import Store
from central.app import init_central, load_config, open_use_cases
from central.errors import ConflictError, RefusedError
from central.rules.authority import certify
from central.rules.enrolment import Consent
from central.rules.fleet import Sighting
from central.rules.reenrolment import Enrolled, Plan, Reporting, Stage, progress, waits
from central.rules.subjects import Subject
from central.service.use_cases import UseCases
from models.registry import open_pack
from scripts.cli.central.reenrol import app
from tests.doubles import pack_standins as standins
from wire.ids import KioskId, SubjectId
from wire.sealing import seal, template_binding
from wire.signing import Signer
from wire.values import GalleryRow, Role, SealedTemplate, Tombstone

OLD, NEW, OTHER = "a" * 64, "b" * 64, "c" * 64
CONSENT, LATER = Consent("2026-11", "en", 1), Consent("2027-01", "de", 2)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return init_central(tmp_path / "central", "metro", "north", "ride")


@pytest.fixture
def use_cases(config: Path) -> Iterator[UseCases]:
    with open_use_cases(load_config(config)) as opened:
        yield opened


def sealed(use_cases: UseCases, subject: SubjectId, recipe: str) -> SealedTemplate:
    context = use_cases.context
    newest = context.secrets.gallery_keys[-1]
    binding = template_binding(context.operator, context.site, subject, recipe)
    key = seal(newest.key, newest.version, context.draw(12), bytes(512), binding)
    return SealedTemplate(key, newest.version, recipe, 3)


def member(use_cases: UseCases, recipe: str | None = OLD, *, pin: bool = True) -> SubjectId:
    subject = use_cases.members.new_subject_id()
    use_cases.members.enrol(subject, None if recipe is None else sealed(use_cases, subject, recipe), CONSENT)
    if pin:
        use_cases.members.set_pin(subject, "4711")
    return subject


def enrol_again(use_cases: UseCases, subject: SubjectId, recipe: str = NEW) -> bool:
    return use_cases.reenrolments.enrol_again(subject, sealed(use_cases, subject, recipe), LATER)


def recipe_in_use(use_cases: UseCases, subject: SubjectId) -> str | None:
    entry = use_cases.members.entry(subject)
    assert isinstance(entry, GalleryRow)
    return None if entry.template is None else entry.template.recipe_digest


def kiosk(use_cases: UseCases, name: str, recipe: str | None) -> None:
    """A paired kiosk that has said which pack it has, or nothing yet."""
    key = Signer.from_seed(name.encode().ljust(32)).public_key
    context = use_cases.context
    use_cases.kiosks.add(KioskId(name), "ride")
    certificate = certify(
        context.operator,
        Role.KIOSK,
        name=name,
        site=context.site,
        public_key=key,
        now_ms=1,
        by=context.identity.issuer,
    )
    (known,) = (each for each in use_cases.kiosks.all() if each.kiosk == name)
    use_cases.kiosks._store.save_kiosk(
        replace(known, certificate=certificate, issuer=context.identity.credentials.issuer)
    )
    if recipe is not None:
        use_cases.kiosks.saw(Sighting(KioskId(name), "ready", "d" * 32, 1, OTHER, recipe))


def test_until_the_switch_new_templates_wait_and_the_gallery_stays_as_it_was(use_cases: UseCases) -> None:
    ada, bob = member(use_cases), member(use_cases)
    use_cases.reenrolments.begin("fused", OTHER, NEW)
    assert enrol_again(use_cases, ada) is True
    assert {recipe_in_use(use_cases, each) for each in (ada, bob)} == {OLD}
    now = use_cases.reenrolments.switch()
    assert (now.ready, now.to_enrol) == (1, (bob,))
    assert (recipe_in_use(use_cases, ada), recipe_in_use(use_cases, bob)) == (NEW, OLD)


def test_the_switch_reaches_kiosks_as_a_new_version_of_the_gallery(use_cases: UseCases) -> None:
    ada = member(use_cases)
    use_cases.feeds.refresh()
    use_cases.reenrolments.begin("fused", OTHER, NEW)
    enrol_again(use_cases, ada)
    use_cases.feeds.refresh()
    (before,) = use_cases.feeds.gallery_heads().values()
    use_cases.reenrolments.switch()
    assert use_cases.feeds.refresh()
    (after,) = use_cases.feeds.gallery_heads().values()
    assert after.version == before.version + 1


def test_a_switch_is_undone_whole_and_made_again(use_cases: UseCases) -> None:
    subjects = [member(use_cases) for _ in range(3)]
    use_cases.reenrolments.begin("fused", OTHER, NEW)
    for subject in subjects[:2]:
        enrol_again(use_cases, subject)
    for _ in range(2):
        use_cases.reenrolments.switch()
        assert [recipe_in_use(use_cases, each) for each in subjects] == [NEW, NEW, OLD]
        use_cases.reenrolments.back()
        assert [recipe_in_use(use_cases, each) for each in subjects] == [OLD, OLD, OLD]


def test_nothing_is_removed_until_all_are_there_or_somebody_says_anyway(use_cases: UseCases) -> None:
    ada, bob = member(use_cases), member(use_cases)
    kiosk(use_cases, "gate-1", NEW)
    use_cases.reenrolments.begin("fused", OTHER, NEW)
    enrol_again(use_cases, ada)
    use_cases.reenrolments.switch()
    with pytest.raises(ConflictError, match="1 members have only an old template, 0 kiosks"):
        use_cases.reenrolments.finish(anyway=False)
    assert use_cases.reenrolments.finish(anyway=True) == 2, "ada's old one, and bob's"
    assert (recipe_in_use(use_cases, ada), recipe_in_use(use_cases, bob)) == (NEW, None)
    assert use_cases.reenrolments.plan() is None


def test_when_members_and_kiosks_are_there_it_finishes_without_a_further_word(use_cases: UseCases) -> None:
    ada = member(use_cases)
    kiosk(use_cases, "gate-1", OLD)
    use_cases.reenrolments.begin("fused", OTHER, NEW)
    enrol_again(use_cases, ada)
    use_cases.reenrolments.switch()
    with pytest.raises(ConflictError, match="1 kiosks do not report the new recipe"):
        use_cases.reenrolments.finish(anyway=False)
    use_cases.kiosks.saw(Sighting(KioskId("gate-1"), "ready", "d" * 32, 2, OTHER, NEW))
    assert use_cases.reenrolments.finish(anyway=False) == 1
    assert recipe_in_use(use_cases, ada) == NEW


def test_after_the_switch_an_old_pack_enrols_nobody_and_a_new_one_at_once(use_cases: UseCases) -> None:
    ada = member(use_cases)
    use_cases.reenrolments.begin("fused", OTHER, NEW)
    use_cases.reenrolments.switch()
    with pytest.raises(RefusedError, match="still has the old pack"):
        enrol_again(use_cases, ada, OLD)
    assert enrol_again(use_cases, ada) is False
    assert recipe_in_use(use_cases, ada) == NEW


def test_a_better_template_of_the_recipe_in_use_never_waits(use_cases: UseCases) -> None:
    ada = member(use_cases)
    assert enrol_again(use_cases, ada, OLD) is False
    use_cases.reenrolments.begin("fused", OTHER, NEW)
    assert enrol_again(use_cases, ada, OLD) is False


def test_abandoning_forgets_what_waited_and_leaves_the_rest(use_cases: UseCases) -> None:
    ada = member(use_cases)
    use_cases.reenrolments.begin("fused", OTHER, NEW)
    enrol_again(use_cases, ada)
    assert use_cases.reenrolments.abandon() == 1
    assert recipe_in_use(use_cases, ada) == OLD
    assert use_cases.reenrolments.progress(NEW).ready == 0


def test_who_withdraws_takes_the_waiting_template_along(use_cases: UseCases) -> None:
    ada = member(use_cases)
    use_cases.reenrolments.begin("fused", OTHER, NEW)
    enrol_again(use_cases, ada)
    use_cases.members.withdraw(ada)
    assert use_cases.reenrolments.progress(NEW).members == 0
    use_cases.reenrolments.switch()
    assert isinstance(use_cases.members.entry(ada), Tombstone)
    assert use_cases.reenrolments._store.template(ada) is None, "not even where no gallery tells it"
    with pytest.raises(ConflictError, match="has withdrawn"):
        enrol_again(use_cases, ada)
    assert use_cases.reenrolments.finish(anyway=True) == 0


def test_a_template_that_is_not_this_members_is_refused(use_cases: UseCases) -> None:
    ada, bob = member(use_cases), member(use_cases)
    with pytest.raises(RefusedError, match="cannot be used"):
        use_cases.reenrolments.enrol_again(ada, sealed(use_cases, bob, NEW), LATER)


def test_one_change_at_a_time_and_none_that_nobody_needs(use_cases: UseCases) -> None:
    member(use_cases)
    with pytest.raises(ConflictError, match="every template's already"):
        use_cases.reenrolments.begin("default", OTHER, OLD)
    use_cases.reenrolments.begin("fused", OTHER, NEW)
    with pytest.raises(ConflictError, match="is under way"):
        use_cases.reenrolments.begin("third", OTHER, OTHER)
    for step in (use_cases.reenrolments.back, lambda: use_cases.reenrolments.finish(anyway=True)):
        with pytest.raises(ConflictError, match="this needs switched"):
            step()
    use_cases.reenrolments.switch()
    for step in (use_cases.reenrolments.switch, use_cases.reenrolments.abandon):
        with pytest.raises(ConflictError, match="this needs gathering"):
            step()


def test_progress_counts_members_kiosks_and_who_would_be_left_without_a_way() -> None:
    members = [
        Enrolled(SubjectId("1" * 32), OLD, NEW, True),
        Enrolled(SubjectId("2" * 32), OLD, None, True),
        Enrolled(SubjectId("3" * 32), OTHER, None, False),
        Enrolled(SubjectId("4" * 32), None, None, False),
        Enrolled(SubjectId("5" * 32), NEW, None, False),
    ]
    kiosks = [Reporting(KioskId("k1"), NEW, OTHER), Reporting(KioskId("k2"), None, None)]
    now = progress(Stage.GATHERING, NEW, members, kiosks)
    assert now.by_recipe == {OLD: 2, OTHER: 1, NEW: 1}
    assert (now.members, now.without_face, now.ready) == (5, 1, 2)
    assert now.to_enrol == (SubjectId("2" * 32), SubjectId("3" * 32))
    assert now.without_pin == (SubjectId("3" * 32),)
    assert now.kiosks_there == 1
    assert [step.done for step in now.steps] == [True, False, True, False, False, False, False]


def test_a_new_member_of_the_next_recipe_takes_nothing_from_anybody_and_does_not_wait() -> None:
    plan, new = Plan("fused", OTHER, NEW, 1), SealedTemplate(b"x", 1, NEW, 3)
    assert waits(plan, SealedTemplate(b"x", 1, OLD, 3), new)
    assert not waits(plan, None, new)
    assert not waits(None, SealedTemplate(b"x", 1, OLD, 3), new)


def test_both_databases_exchange_every_waiting_template_and_no_other(
    where: Path | str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reenrol_tables, "AT_ONCE", 4)
    store = Store(where)
    subjects = [SubjectId(f"{number:032x}") for number in range(11)]
    first, second = SealedTemplate(b"old", 1, OLD, 3), SealedTemplate(b"new", 2, NEW, 5)
    for subject in subjects:
        store.add_subject(Subject(subject, 1), first, CONSENT)
    for subject in subjects[:10]:
        store.save_template(subject, second, LATER, spare=True)
    store.exchange(Plan("fused", OTHER, NEW, 1, 2))
    assert [store.template(each) for each in subjects] == [second] * 10 + [first]
    assert store.plan() == Plan("fused", OTHER, NEW, 1, 2)
    store.exchange(Plan("fused", OTHER, NEW, 1))
    assert store.templates_among(subjects) == dict.fromkeys(subjects, first)
    store.exchange(Plan("fused", OTHER, NEW, 1, 3))
    assert store.end_plan(NEW) == 11
    assert store.templates_among(subjects) == dict.fromkeys(subjects[:10], second)
    store.close()


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(config)])


def told(config: Path, *words: str) -> dict:
    ran = run(config, *words, "--json")
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout.splitlines()[-1])


def test_an_operator_plans_begins_follows_switches_and_finishes(config: Path, tmp_path: Path) -> None:
    recipe = open_pack().recipe_digest
    pack = str(standins.pack_with_passive_networks(tmp_path / "pack", live=0.9).root)
    with open_use_cases(load_config(config)) as use_cases:
        ada, bob = member(use_cases), member(use_cases, pin=False)
        kiosk(use_cases, "gate-1", OLD)
    planned = told(config, "plan", "--pack", pack)
    assert (planned["stage"], planned["recipe_digest"], planned["pack"]) == ("none", recipe, None)
    assert (planned["by_recipe"], planned["ready"]) == ({OLD: 2}, 0)
    assert planned["without_pin"] == [bob]
    assert run(config, "status").exit_code == 1, "nothing began"
    assert told(config, "begin", "--pack", pack)["stage"] == "gathering"
    with open_use_cases(load_config(config)) as use_cases:
        assert enrol_again(use_cases, ada, recipe)
    followed = told(config, "status")
    assert (followed["pack"], followed["ready"], followed["to_enrol"]) == ("default", 1, [bob])
    assert followed["kiosks"] == [{"kiosk": "gate-1", "recipe_digest": OLD, "pack_digest": OTHER}]
    assert told(config, "switch")["by_recipe"] == {OLD: 1, recipe: 1}
    refused = run(config, "finish")
    assert (refused.exit_code, "finish it anyway" in refused.stderr) == (1, True)
    shown = run(config, "status")
    for text in ("1 ready, 1 to enrol again", f"without a PIN: {bob}", "to do: finish", "gate-1"):
        assert text in shown.stdout, text
    assert told(config, "finish", "--anyway") == {"templates_removed": 2}


def test_a_folder_that_is_no_pack_ends_with_2(config: Path, tmp_path: Path) -> None:
    assert run(config, "plan", "--pack", str(tmp_path)).exit_code == 2


def test_thresholds_and_passive_networks_need_no_enrolling_again(config: Path, tmp_path: Path) -> None:
    with open_use_cases(load_config(config)) as use_cases:
        member(use_cases, open_pack().recipe_digest)
    pack = str(standins.pack_with_passive_networks(tmp_path / "pack", live=0.9).root)
    refused = run(config, "begin", "--pack", pack)
    assert (refused.exit_code, "nobody has to enrol again" in refused.stderr) == (1, True)
