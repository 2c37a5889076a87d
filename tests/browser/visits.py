"""Open pages in a real browser; errors in the console and policy violations fail the test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserType, ConsoleMessage, Page

from tests.waiting import PATIENCE_S

#: The second line turns off Chromium's background requests; the third adds a fake camera.
ARGUMENTS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
]

#: Far more than a page takes, also on a busy machine.
WAIT_MS = 1000 * PATIENCE_S

#: Violations of the content security policy raise no script error, so they are logged as errors.
WATCH = """
document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  console.error(`policy violated: ${violatedDirective} ${blockedURI}`));
"""


def installed_chromium() -> str | None:
    """Return Debian's Chromium; its build without windows opens a page in half the time."""
    return shutil.which("chromium-headless-shell") or shutil.which("chromium")


def launch(chromium: BrowserType) -> Browser:
    """Start Debian's Chromium where it is installed, else the one that Playwright downloads."""
    path = installed_chromium() or chromium.executable_path
    if not Path(path).exists():
        pytest.skip(
            "needs Chromium: apt install chromium-headless-shell, or playwright install chromium"
        )
    return chromium.launch(executable_path=path, args=ARGUMENTS, timeout=2 * WAIT_MS)


@contextmanager
def visit(
    browser: Browser, url: str, *, refusals: Sequence[int | str] = (), **options: Any
) -> Iterator[Page]:
    """Open the page in a fresh profile; afterwards its console must be empty.

    ``refusals`` are the statuses and network errors that the test provokes; Chromium logs each.
    """
    faults: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not _expected(message.text, refusals):
            faults.append(message.text)

    context = browser.new_context(**options)
    context.set_default_timeout(WAIT_MS)
    context.add_init_script(WATCH)
    page = context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(url)
    yield page
    context.close()
    assert not faults, faults


def _expected(text: str, refusals: Sequence[int | str]) -> bool:
    ours = text.startswith(("Failed to load resource:", "Access to "))
    return ours and any(str(refusal) in text for refusal in refusals)
