"""A headless Chromium, driven by ChromeDriver over the W3C WebDriver protocol (w3.org/TR/webdriver2).

Debian's packages `chromium` and `chromium-driver`; the protocol is JSON over HTTP, and these few calls of it
need no library. Waiting is the browser's own: every search and every script has a deadline.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

WITHIN_S: Final = 20.0
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"
_QUIET: Final = (
    "--headless",
    "--no-sandbox",  # the tests of CI run as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class UnavailableError(Exception):
    """There is no browser on this machine; the text says what it would take."""


class Browser:
    """One window."""

    def __init__(self, driver: httpx.Client, session: str) -> None:
        self._driver = driver
        self._session = f"/session/{session}"

    def close(self) -> None:
        """End the browser."""
        answer = self._driver.delete(self._session)
        assert answer.is_success, answer.text

    def open(self, url: str) -> None:
        """Open a page, and wait until it has loaded."""
        self._ask("POST", "url", url=url)

    def type_into(self, selector: str, text: str) -> None:
        """Type into a field."""
        self._ask("POST", f"element/{self._find(selector)}/value", text=text)

    def click(self, selector: str) -> None:
        """Click."""
        self._ask("POST", f"element/{self._find(selector)}/click")

    def text(self, selector: str) -> str:
        """Read what an element shows."""
        return str(self._ask("GET", f"element/{self._find(selector)}/text"))

    def text_once(self, selector: str, pattern: str) -> str:
        """Wait until an element's text matches, and read it; the page's own observer says when."""
        script = """
            const [selector, pattern, done] = arguments;
            const element = document.querySelector(selector);
            const look = () => new RegExp(pattern).test(element.textContent) && done(element.textContent);
            new MutationObserver(look).observe(element, {childList: true, subtree: true});
            look();
        """
        return str(self._ask("POST", "execute/async", script=script, args=[selector, pattern]))

    def _find(self, selector: str) -> str:
        found = self._ask("POST", "element", using="css selector", value=selector)
        return str(found[_ELEMENT])

    def _ask(self, method: str, path: str, **said: Any) -> Any:
        url = f"{self._session}/{path}"
        answer = self._driver.request(method, url, json=said if method == "POST" else None)
        value = answer.json()["value"]
        assert answer.is_success, value["message"]
        return value


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Run a browser with an empty profile.

    Raises:
        UnavailableError: Chromium or its driver is not installed.
    """
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        raise UnavailableError("Chromium is not here: apt-get install chromium chromium-driver")
    with subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = (re.search(r"started successfully on port (\d+)", line) for line in process.stdout)
            port = next(filter(None, said))[1]
            options = {"binary": chromium, "args": [*_QUIET, f"--user-data-dir={profile}"]}
            wanted = {
                "alwaysMatch": {
                    "goog:chromeOptions": options,
                    "timeouts": {"implicit": WITHIN_S * 1000, "script": WITHIN_S * 1000},
                }
            }
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
                started = client.post("/session", json={"capabilities": wanted})
                assert started.is_success, started.text
                window = Browser(client, started.json()["value"]["sessionId"])
                try:
                    yield window
                finally:
                    window.close()
        finally:
            process.terminate()
