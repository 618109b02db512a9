"""Reviewers of a trial: their keys live in this process, and the root beside central certifies them.

The demo, the harness and tests review with these. A site's reviewers sign on machines of their own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from central.adapters.keyfiles import load_trial_root
from central.app import open_use_cases
from central.config import LoadedConfig
from central.rules.authority import reviewer_certificate, reviewer_request
from central.rules.restriction import Terms, draft
from central.rules.review import Case, Lifting, Matter, Outcome, lift, rule
from central.service.use_cases import UseCases
from wire.ids import RestrictionId, ReviewerId
from wire.signing import KEY_BYTES, Signer, endorse
from wire.values import Certificate, Restriction

LIFTED = "The trial of it is over."


@dataclass(frozen=True, slots=True)
class TrialReviewer:
    """A reviewer's key and the root's certificate for it."""

    signer: Signer
    certificate: Certificate


def make_reviewer(config: LoadedConfig, reviewer: ReviewerId, now_ms: int) -> TrialReviewer:
    """A reviewer whom the trial's root certified, and nobody listed yet; raises SecretsError without one."""
    signer = Signer.from_seed(os.urandom(KEY_BYTES))
    request = reviewer_request(config.settings.operator, reviewer, signer)
    return TrialReviewer(signer, reviewer_certificate(request, load_trial_root(config.keys_path), now_ms))


def add_reviewer(config: LoadedConfig, reviewer: ReviewerId) -> TrialReviewer:
    """Make a reviewer and list them; raises ConflictError or RefusedError."""
    with open_use_cases(config) as use_cases:
        made = make_reviewer(config, reviewer, use_cases.context.now_ms())
        use_cases.reviews.add(made.certificate)
    return made


def issue_restriction(use_cases: UseCases, terms: Terms, reviewers: Sequence[TrialReviewer]) -> Restriction:
    """Draft a restriction, have each reviewer sign it, and store it; raises RefusedError."""
    signed = draft(terms, use_cases.context.now_ms(), use_cases.context.draw(21))
    for each in reviewers:
        signed = endorse(signed, each.signer, each.certificate)
    use_cases.standings.add_restriction(signed)
    return signed


def lift_restriction(use_cases: UseCases, restriction: RestrictionId, reviewer: TrialReviewer) -> Lifting:
    """Lift a restriction with one reviewer's key; raises as `Standings.lift_restriction`."""
    signed = lift(
        restriction,
        note=LIFTED,
        reviewer=reviewer.signer,
        certificate=reviewer.certificate,
        at_ms=use_cases.context.now_ms(),
    )
    use_cases.standings.lift_restriction(signed)
    return signed


def settle(
    use_cases: UseCases, matter: Matter, *, target: str, outcome: Outcome, note: str, by: TrialReviewer
) -> Case:
    """Sign a ruling on an open case with a reviewer's key; raises as `Reviews.settle`."""
    case, now_ms = use_cases.reviews.open_case(matter, target), use_cases.context.now_ms()
    return use_cases.reviews.settle(
        rule(case, outcome, note=note, reviewer=by.signer, certificate=by.certificate, at_ms=now_ms)
    )
