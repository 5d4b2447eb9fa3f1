import os
import pathlib
import sys

import pytest
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "EndToEnd"))

from harness import ROOT, Platform  # noqa: E402


@pytest.fixture(scope="session")
def platform():
    url = os.environ.get("MAINSTREET_TEST_DATABASE_URL")
    assert url, "MAINSTREET_TEST_DATABASE_URL is not set; ./dev test browser sets it"
    platform = Platform(url)
    yield platform
    platform.stop()


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium. Its own sandbox needs what containers do not give."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page, and everything it complained of."""

    def __init__(self, page):
        self.page = page
        self.complaints = []
        self.requests = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))
        page.on("request", lambda request: self.requests.append(request))
        # A violation shows in the console only with its default report; the event tells of all.
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', event =>"
            " console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`))"
        )

    def _console(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")


@pytest.fixture
def watched(browser):
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    yield Watched(page)
    page.close()


@pytest.fixture(scope="session")
def screenshots():
    """Where pictures of the pages are kept, for people to look at."""
    folder = ROOT / ".local/screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
