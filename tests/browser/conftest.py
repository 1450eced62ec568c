"""A Chromium that is found by itself; tests skip without one, but not in CI."""

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    async_playwright,
)

from tests.flows.world import World, open_world

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_QUIET = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    # Nothing but this machine: a name leads nowhere, whatever a page tries.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
_REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`CSP ${event.effectiveDirective}`);
});
"""
_MILLISECONDS = 10_000


@dataclass(slots=True)
class Visit:
    """A tab, and everything in it that must not happen."""

    page: Page
    troubles: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def open(self, url: str) -> None:
        await self.page.goto(url)  # modules have run when it returns

    async def problem(self, name: str) -> str:
        """Return what stands beside a field; empty when nothing is shown."""
        line = self.page.locator(f"#{name}-error")
        return await line.inner_text() if await line.is_visible() else ""

    async def url(self) -> str:
        """Return the link that is offered; empty when none is."""
        shown = self.page.locator("#url")
        return await shown.input_value() if await shown.is_visible() else ""


def _chromium() -> str:
    for name in _NAMES:
        path = shutil.which(name)
        if path is not None:
            return path
    reason = f"no browser: none of {', '.join(_NAMES)} is installed"
    if os.environ.get("CI"):  # noqa: TID251  as all CI systems set it
        pytest.fail(reason)
    pytest.skip(reason)


# One browser for the run of a worker, so all here share one event loop.
@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    path = _chromium()
    options = [*_QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    async with await browser.new_context() as context:
        context.set_default_timeout(_MILLISECONDS)
        yield context


@pytest_asyncio.fixture(loop_scope="session")
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database_url, tmp_path, demo="on") as world:
        yield world


@pytest_asyncio.fixture(loop_scope="session")
async def visit(context: BrowserContext) -> AsyncIterator[Visit]:
    """Yield a tab; the test fails for a dialog, a violation of the policy, or a broken script."""
    visit = await watched(context)
    yield visit
    assert visit.troubles == []


async def watched(context: BrowserContext) -> Visit:
    visit = Visit(await context.new_page())

    async def dismiss(dialog: Dialog) -> None:
        visit.troubles.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def heard(message: ConsoleMessage) -> None:
        # A refusal by the server is logged as well; tests look at what the page says of it.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            visit.troubles.append(message.text)

    page = visit.page
    page.on("dialog", dismiss)
    page.on("console", heard)
    page.on("pageerror", lambda error: visit.troubles.append(f"error: {error}"))
    page.on(
        "request",
        lambda one: visit.requests.append((one.method, one.url, one.post_data or "")),
    )
    page.on("response", lambda one: visit.statuses.append(one.status))
    await page.add_init_script(_REPORT_VIOLATIONS)
    return visit
