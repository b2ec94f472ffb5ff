"""What the pages tell people to type exists: variables, and anchors of other pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from myi_pipeline.settings import known_variables
from tests.architecture.repository import DOCS, ROOT, pages, relative

# Read by the tests alone, or a pattern of several names.
_NO_SETTINGS = {
    "MYI_TEST_DATABASE_URL",
    "MYI_TEST_NEEDS_BROWSER",
    "MYI_TEST_NEEDS_REDIS",
    "MYI_TEST_NEEDS_PGBOUNCER",
    "MYI_DATABASE_URL_",
}
_ANCHOR = re.compile(r"\]\(([\w./-]*\.md)?#([\w-]+)\)")


def variables(text: str) -> set[str]:
    return set(re.findall(r"\bMYI_[A-Z_]+", text))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", list(pages()), ids=relative)
def test_every_variable_that_a_page_names_is_a_setting(page: Path) -> None:
    assert variables(page.read_text(encoding="utf-8")) - known_variables() - _NO_SETTINGS == set()


@pytest.mark.parametrize("page", list(pages()), ids=relative)
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    for target, anchor in _ANCHOR.findall(page.read_text(encoding="utf-8")):
        assert anchor in anchors(page.parent / target if target else page), f"{target}#{anchor}"


def test_a_wrong_name_is_noticed() -> None:
    assert variables("set MYI_PUBLIC_ADDRESS=x, or $MYI_HOME/y") - known_variables() == {"MYI_PUBLIC_ADDRESS"}
    assert "behind-tls" in anchors(DOCS / "operations.md")
    assert (ROOT / "README.md").exists()
