"""Secrets stay out of whatever is written down: central at DEBUG, through its routes, with marked ones."""

from __future__ import annotations

import base64
import logging
from pathlib import Path

import httpx
import pytest

from central.app import load_config
from tests.doubles.central_rig import Clock, member_body, new_config, running
from tests.doubles.route_table import CENTRAL, SUBJECT, targets

PIN, WRONG_PIN, CARD = "48151623", "42108642", "MARKED0CARD0NUMBER"
WRONG_TOKEN = "marked-wrong-token-0123456789"


def forms(secret: bytes) -> set[str]:
    """How bytes may be written down."""
    coded = {base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode()}
    return {secret.hex(), secret.hex().upper(), repr(secret)[2:-1], *(each.rstrip("=") for each in coded)}


async def test_no_log_line_output_or_repr_holds_a_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for logger in (None, "sqlalchemy.engine"):  # before anything is opened: some ask once
        caplog.set_level(logging.DEBUG, logger)
    clock = Clock()
    config = new_config(tmp_path, clock)
    async with running(config, clock) as rig:
        use_cases, told = rig.central.use_cases, []
        wrong = {"authorization": f"Bearer {WRONG_TOKEN}"}
        async with rig.http() as operator, httpx.AsyncClient(base_url=rig.central.http_url) as stranger:
            enrolled = await operator.post("/v1/subjects", json=member_body(rig, SUBJECT))
            assert enrolled.status_code == 201
            claim = (await operator.post(f"/v1/subjects/{SUBJECT}/claims", json={"kind": "qr"})).json()
            card = {"kind": "card", "text": CARD}
            told.append(await operator.post(f"/v1/subjects/{SUBJECT}/claims", json=card))
            told.append(await operator.put(f"/v1/subjects/{SUBJECT}/pin", json={"pin": PIN}))
            told.append(await operator.put(f"/v1/subjects/{SUBJECT}/pin", json={"pin": PIN, "x": WRONG_PIN}))
            added = await operator.post("/v1/kiosks", json={"kiosk": "gate-1", "purpose": "ride"})
            code = added.json()["pairing_code"]
            for pin in (WRONG_PIN, PIN):
                proof = {"code": claim["claim_id"], "pin": pin}
                for path in ("/why", "/withdraw"):
                    told.append(await stranger.post(path, data=proof))
                    clock.advance(60_000)
            for method, path, _ in targets(CENTRAL):
                for client, headers in ((stranger, wrong), (operator, {})):
                    sent = {"pin": PIN, "code": claim["claim_id"], "pairing_code": code}
                    told.append(await client.request(method, path, json=sent, headers=headers))
            # A fault of central's own, in the middle of a request with secrets in it.
            _, other = rig.add_member(PIN)
            use_cases.members._store.pin = broken
            told.append(await stranger.post("/why", data={"code": other, "pin": PIN}))
            assert told[-1].status_code == 500
        shown = [repr(rig.central), repr(use_cases), repr(use_cases.context), repr(load_config(config))]
        secrets = {
            "PIN": {PIN},
            "wrong PIN": {WRONG_PIN},
            "card": {CARD},
            "API token": {rig.central.api_token},
            "wrong token": {WRONG_TOKEN},
            "claim": {claim["claim_id"], claim["claim_id"].upper(), other},
            "pairing code": {code, code.replace("-", "")},
            "box key": forms(use_cases.context.identity.box_private),
            "pepper": forms(use_cases.context.identity.pepper),
            "database key": forms(use_cases.context.identity.key_encryption_key),
            "claim key": forms(use_cases.context.secrets.claim_key),
            "gallery key": forms(use_cases.context.secrets.gallery_keys[-1].key),
        }
    out, err = capfd.readouterr()
    logged = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    assert "a request failed with RuntimeError" in logged
    assert "sqlalchemy.engine" in logged
    written = {
        "logs": logged,
        "output": out + err,
        "reprs": "".join(shown),
        "answers": "".join(answer.text + str(answer.headers) for answer in told),
    }
    found = [
        (name, place)
        for place, text in written.items()
        for name, values in secrets.items()
        if any(value in text for value in values)
    ]
    assert found == []


def broken(subject: str) -> None:
    raise RuntimeError(f"no database for {subject}, {PIN}")
