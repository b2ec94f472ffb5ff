"""A real browser, and a whole MYI for it: `myi up` as a child, with a simulated Spotify beside it.

`chromium` is Debian's package, driven by Playwright; Playwright's own browsers are never downloaded. Where there is
none the tests are skipped, unless MYI_TEST_NEEDS_BROWSER says that this would be a failure (`.ci/run` does).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.setups import Setup, running_setup

NEEDED, PICTURES = "MYI_TEST_NEEDS_BROWSER", "MYI_TEST_PICTURES"
_NONE = "there is no browser: apt-get install --no-install-recommends chromium fonts-dejavu-core"


# Not for the whole session: a loop runs in this thread meanwhile, in which other tests could start none of theirs.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get(NEEDED):
            pytest.fail(_NONE)
        pytest.skip(_NONE)
    with sync_playwright() as playwright:
        arguments = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        if os.geteuid() == 0:
            # Chromium's sandbox refuses to work for root.
            arguments.append("--no-sandbox")
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Setup]:
    """Asks for the browser first: without one, nothing needs to be started."""
    with running_setup(tmp_path_factory.mktemp("setup"), is_pretty=PICTURES in os.environ) as setup:
        yield setup
