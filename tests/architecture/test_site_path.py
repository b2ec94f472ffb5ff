"""The rules by which a site below a path stays whole (web/site_path.py)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.repository import ROOT

# Who compares origins, or needs the parts of the address.
_MAY_ASK_FOR_THE_ORIGIN = {"settings/site.py", "web/middleware/same_site.py", "web/middleware/security_headers.py",
    "web/security/cookies.py"}  # fmt: skip
PACKAGE = ROOT / "myi_pipeline"
SCRIPTS = sorted((PACKAGE / "web" / "dashboard" / "static").glob("*.js"))


def test_addresses_that_are_shown_begin_with_the_sites_url_not_with_its_origin() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "site_origin" in path.read_text(encoding="utf-8")
    }
    assert "settings/site.py" in found
    assert found - _MAY_ASK_FOR_THE_ORIGIN == set(), "site_url is where the pages are"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_writes_addresses_of_the_site_from_the_slash_on(script: Path) -> None:
    """`${place}/imports` and a lone `/` would lead out of the site's path."""
    text = script.read_text(encoding="utf-8")
    assert not re.search(r"""["'`]/["'`]|location\.origin|location\.host\b""", text)
