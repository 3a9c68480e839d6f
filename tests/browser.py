"""A page in a real browser: the system's Chromium, driven by Playwright, without a network.

To look at a report: ``python tests/browser.py report.html FOLDER`` writes screenshots.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
    # Whatever is asked for by name is not found.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
#: The shots of a report: the name, the width and height, the colours.
SHOTS = (
    ("light", (1280, 900), "light"),
    ("dark", (1280, 900), "dark"),
    ("phone", (390, 844), "light"),
    ("phone-dark", (390, 844), "dark"),
)


@dataclass
class Opened:
    """A page, and what it did that it should not: errors, and requests but for itself."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def chromium_path() -> str | None:
    """Return the browser to drive, None where there is none; DETOX_BENCH_CHROMIUM names another."""
    named = os.environ.get("DETOX_BENCH_CHROMIUM")
    return named or next(filter(None, map(shutil.which, CHROMIUM)), None)


@contextmanager
def running() -> Iterator[Any]:
    """Yield a headless Chromium with a profile of its own, closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium_path(), args=list(_QUIET), chromium_sandbox=False
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, file: Path, width: int = 1280, **options: Any) -> Iterator[Opened]:
    """Yield ``file`` in a new page; ``options`` are Playwright's, as ``color_scheme``."""
    size = {"width": width, "height": options.pop("height", 900)}
    context = browser.new_context(viewport=size, **options)
    try:
        found = Opened(context.new_page())
        watch(found, file.resolve().as_uri())
        found.page.goto(file.resolve().as_uri())
        yield found
    finally:
        context.close()


def watch(found: Opened, own: str) -> None:
    """Collect the errors of a page, and its requests but for ``own`` and ``data:``."""

    def error(message: Any) -> None:
        if message.type in ("error", "warning"):
            found.errors.append(message.text)

    def request(asked: Any) -> None:
        if asked.url.partition("#")[0] != own and not asked.url.startswith("data:"):
            found.requests.append(asked.url)

    found.page.on("console", error)
    found.page.on("pageerror", lambda raised: found.errors.append(str(raised)))
    found.page.on("request", request)


def screenshots(report: Path, folder: Path, parts: Sequence[str] = ("",)) -> list[Path]:
    """Write pictures of a report in light, dark and 390 px wide, and return their files.

    ``parts`` are selectors to scroll to, as ``#run-1``; empty is the top.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with running() as browser:
        for name, (width, height), colours in SHOTS:
            look = {"height": height, "color_scheme": colours, "reduced_motion": "reduce"}
            with opened(browser, report, width, **look) as found:
                for place, part in enumerate(parts):
                    script = "(at) => document.querySelector(at).scrollIntoView()"
                    if part:
                        found.page.evaluate(script, part)
                    written.append(folder / f"{name}-{place}.png")
                    found.page.screenshot(path=written[-1], caret="initial")
    return written


if __name__ == "__main__":
    screenshots(Path(sys.argv[1]), Path(sys.argv[2]), ["", *sys.argv[3:]])
