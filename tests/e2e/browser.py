"""A person at a browser: signs in, presses buttons, and notices what a page does wrong."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect, sync_playwright

CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
        if (path := shutil.which(name))
    ),
    "/usr/bin/chromium",
)
needs_chromium = pytest.mark.skipif(
    not Path(CHROMIUM).exists() and not os.environ.get("CI"),
    reason="there is no Chromium here (apt-get install chromium), and this is not CI",
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTH, HEIGHT = 1400, 900
PATIENCE = 60_000  # milliseconds: two shared cores serve the page, the scheduler and the tests

# Where a screenshot for the README goes, if one is wanted.
SCREENSHOTS = os.environ.get("HIMS_SCREENSHOTS")

# What no page shows when ours is in order.
LEFTOVERS = re.compile(r"Traceback|\bundefined\b|\[object Object\]|\{\{|\}\}|\bNone\b|\bNaN\b")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser of our own and end it."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """One person's window, signed in on the first page that asks for it."""

    def __init__(
        self, browser: Browser, url: str, user: str, password: str, *, zoom: float = 1
    ) -> None:
        self._url = url
        self._user = user
        self._password = password
        # Zoomed out, more fits into a picture of the same size.
        context = browser.new_context(
            viewport={"width": round(WIDTH / zoom), "height": round(HEIGHT / zoom)},
            device_scale_factor=zoom,
            timezone_id="UTC",
            locale="en-GB",
        )
        context.set_default_timeout(PATIENCE)
        self.page: Page = context.new_page()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", self._answered)
        self.errors: list[str] = []
        self.refused: list[tuple[int, str]] = []

    def open(self, address: str = "/") -> None:
        """Go to a page of Airflow, through the sign-in where that comes first."""
        self.page.goto(address if address.startswith("http") else self._url + address)
        name = self.page.locator("input[name=username]")
        # Only one of the two appears, and which one is known when it does.
        expect(name.or_(self.page.get_by_test_id("nav-home-link")).first).to_be_visible()
        if name.is_visible():
            name.fill(self._user)
            self.page.locator("input[name=password]").fill(self._password)
            self.page.get_by_role("button", name="Sign in").click()
            expect(self.page.get_by_test_id("nav-home-link")).to_be_visible()
            # Nobody was signed in before, and Airflow asks all the same.
            self.refused.clear()

    def leave(self) -> None:
        """Close the window: a page that nobody looks at still asks the server and draws itself."""
        self.page.context.close()

    def text(self) -> str:
        """Return what the page shows; fails if it shows what only a program would write."""
        shown = self.page.get_by_test_id("main-content").inner_text()
        assert not LEFTOVERS.search(shown), shown
        return shown

    def picture(self, name: str) -> None:
        """Keep what is to be seen, where pictures are wanted."""
        if SCREENSHOTS:
            self.page.wait_for_timeout(1500)  # until what moves has arrived
            self.page.screenshot(path=Path(SCREENSHOTS) / name)

    def _said(self, message: ConsoleMessage) -> None:
        # A refused request is in `refused`; the browser's own line about it says less.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.refused.append((response.status, response.request.method))
