"""Requests that no client of ours would send, and what an answer to them must be."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx

from tests.doubles.waiting import WAIT_S

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
HOSTILE: tuple[tuple[str, bytes], ...] = (
    (JSON, b""),
    (JSON, b"null"),
    (JSON, b"[]"),
    (JSON, b'"text"'),
    (JSON, b"{}"),
    (JSON, b'{"note": 7, "pin": [], "subject": {}, "kiosk": null, "kind": true, "settings": 1}'),
    (JSON, b'{"note": "\\u0000\\ud800", "pin": "\\u0660\\u0661\\u0662\\u0663", "kiosk": "\\u0000"}'),
    (JSON, b'{"note": "a", "note": "b", "pin": "4711", "__proto__": {}}'),
    (JSON, b'{"note": 1e999, "for_s": 1e308, "at_ms": -1}'),
    (JSON, b'{"note": "cut o'),
    (JSON, b"\xff\xfe\x00\xd8"),
    (JSON, b"[" * 4000),
    (JSON, b"9" * 5000),
    (JSON, b'{"a":' * 1000),
    (FORM, b"code=%ff&pin=%00&contest=%ed%a0%80&note=%00&ticket=" + b"0" * 32),
    (FORM, b"&".join(b"a=b" for _ in range(2000))),
    (FORM, b"contest=K7PD-2MXW&note=%00"),
    (
        "multipart/form-data; boundary=b",
        b'--b\r\ncontent-disposition: form-data; name="note"\r\n\r\nx\r\n--b--',
    ),
    ("text/plain", b"note=x"),
    ("application/xml", b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>"),
    ("application/json; charset=utf-16", '{"note": "x"}'.encode("utf-16")),
    ("nonsense", b"\x00"),
)


def is_told(answer: httpx.Response) -> bool:
    """Whether a refusal is a sentence and a code for programs, or a page; and shows nothing of the inside."""
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text
    if answer.headers["content-type"].startswith("text/html"):
        return "<h1>" in answer.text
    told = answer.json()
    return set(told) == {"error", "detail"} and all(isinstance(each, str) and each for each in told.values())


async def raw(url: str, *parts: bytes, pause_s: float = 0) -> bytes:
    """Send bytes as they are, and read until the other end closes."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(pause_s)
    async with asyncio.timeout(WAIT_S):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer
