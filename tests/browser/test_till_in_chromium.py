"""The till's page in a real Chromium: ask for an amount, take it back, be paid, give it back."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.doubles.axe import violations
from tests.doubles.till_api import TOKEN, Till, open_till_at
from wire.records import ChargeOutcome

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name).click()


async def asks_for_tea(page: Page, till: Till) -> str:
    """Fill the form in as somebody would; the checkout that it made."""
    await page.get_by_label("Amount in minor units").fill("250")
    await page.get_by_label("What for").fill("tea")
    await press(page, "Ask for it")
    await expect(page.get_by_role("status")).to_have_text("open")
    made = till.counter.checkouts.under_way()
    assert (made.due.amount_minor, made.due.currency, made.due.reference) == (250, "EUR", "tea")
    await expect(page.locator("#answer")).to_contain_text(made.due.checkout)
    return made.due.checkout


async def test_somebody_at_the_tills_page_asks_takes_back_is_paid_and_gives_back(
    browser: Browser, tmp_path: Path
) -> None:
    async with open_till_at(tmp_path) as till:
        context = await browser.new_context()
        page, faults = await context.new_page(), []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda sent: None if sent.url.startswith(till.url) else faults.append(sent.url))
        await page.goto(f"{till.url}/till")
        assert await violations(page) == []
        state, back = page.get_by_role("status"), page.get_by_role("button", name="Take it back")
        give = page.get_by_role("button", name="Give it back")
        await expect(back).to_be_disabled()

        await page.get_by_label("Token of till.token_file").fill("not-the-token-of-this-till")
        await press(page, "Ask for it")
        await expect(state).to_contain_text("no_token")
        assert till.counter.checkouts.under_way() is None

        await page.get_by_label("Token of till.token_file").fill(TOKEN)
        first = await asks_for_tea(page, till)
        await back.click()
        await expect(state).to_have_text("cancelled")
        assert (await till.call("GET", f"/checkouts/{first}"))[1]["state"] == "cancelled"
        await expect(back).to_be_disabled()
        await expect(give).to_be_disabled()

        second = await asks_for_tea(page, till)
        assert second != first
        await till.pay(second, 1, ChargeOutcome.CAPTURED)
        await expect(state).to_have_text("paid")  # the page looks by itself
        await give.click()
        await expect(state).to_have_text("refunded")
        assert list(till.central.given.values()) == [250]
        assert faults == []
        assert await violations(page) == []
        await context.close()
