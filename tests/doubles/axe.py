"""axe-core in a page of the tests: its rules, and what it finds as one line a finding."""

from __future__ import annotations

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

WCAG_AA = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
"""axe's tags of WCAG 2.2's levels A and AA; `target-size` (2.5.8) is among them."""
_SCRIPT = Axe().axe_script
_RUN = """async (tags) => {
  const only = tags.length ? { runOnly: { type: "tag", values: tags } } : {};
  const found = await axe.run(document, { ...only, resultTypes: ["violations"] });
  return found.violations.flatMap((rule) =>
    rule.nodes.map((node) => `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`));
}"""


async def violations(page: Page, tags: tuple[str, ...] = ()) -> list[str]:
    """What axe finds in the page as it stands, by all its rules or by those with one of `tags`.

    A page with a policy against foreign scripts needs a context with `bypass_csp`.
    """
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(_SCRIPT)
    found: list[str] = await page.evaluate(_RUN, list(tags))
    return found
