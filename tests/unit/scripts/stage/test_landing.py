"""The demo's first page: links for this machine's own browser, and nothing that runs."""

from __future__ import annotations

import httpx
import pytest

from scripts.stage.landing import Link, page, serve_landing

LINKS = (Link("http://127.0.0.1:1/", "1. Enrol <b>", 'Say "yes" & look.'),)


async def test_the_page_and_its_style_are_all_there_is_and_no_script_may_run() -> None:
    async with serve_landing(LINKS, "About") as url, httpx.AsyncClient(trust_env=False) as client:
        found = await client.get(url)
        assert found.status_code == 200
        assert found.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in found.headers["content-security-policy"]
        assert "<script" not in found.text
        assert (await client.get(f"{url}landing.css")).status_code == 200
        assert (await client.get(f"{url}other")).status_code == 404
        assert (await client.post(url)).status_code == 405


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1.elsewhere.example"])
async def test_a_request_under_another_name_is_refused(host: str) -> None:
    async with serve_landing(LINKS, "About") as url, httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(url, headers={"Host": host})).status_code == 421


def test_every_text_is_escaped() -> None:
    written = page(LINKS, "<i>about</i>")
    assert "<b>" not in written
    assert "<i>" not in written
    assert "1. Enrol &lt;b&gt;" in written
    assert "Say &quot;yes&quot; &amp; look." in written
