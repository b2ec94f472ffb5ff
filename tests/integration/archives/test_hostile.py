"""Hostile, broken and wrong archives: refused by name before anything is loaded, or kept up to where they break."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.errors import BadInput
from tests.hostile.documents import huge_string
from tests.hostile.makers import (
    BROKEN_MEMBERS,
    BROKEN_ZIPS,
    ODD_MEMBERS,
    UNSAFE_ZIPS,
    WRONG_PACKAGES,
    Maker,
)
from tests.integration.archives.setups import STAGING, Setup, row, write_rows

# Four times what a row may take does as well as the 32 MB that it has elsewhere, in a tenth of the time.
CUT_SHORT = BROKEN_MEMBERS | {"huge_string": partial(huge_string, size=4 * 1024 * 1024)}
REFUSED = UNSAFE_ZIPS | BROKEN_ZIPS | WRONG_PACKAGES
TRACES = """
select 'imports' from app.imports union all select 'quarantine' from ops.quarantine
union all select 'contents' from raw.contents union all select 'days' from ops.changed_days
"""


@pytest.fixture(scope="module")
def setup(setup_of_module: Setup) -> Setup:
    """One for all: what is refused leaves no trace, so nothing needs emptying."""
    setup_of_module.add_user()
    return setup_of_module


def by_name(makers: dict[str, Maker]) -> Any:
    return pytest.mark.parametrize("maker", list(makers.values()), ids=list(makers))


@by_name(REFUSED)
def test_refused_by_name_before_anything_is_loaded(setup: Setup, archive_path: Path, maker: Maker) -> None:
    maker(archive_path)
    with pytest.raises(BadInput) as refusal:
        setup.bring(archive_path)
    assert archive_path.name in f"{refusal.value} {refusal.value.place}"
    assert setup.sql(TRACES) == []


@by_name(CUT_SHORT)
def test_a_broken_file_is_refused_or_keeps_what_lies_before_the_break(
    shared_setup: Setup, archive_path: Path, maker: Maker
) -> None:
    try:
        result = shared_setup.bring(maker(archive_path))
    except BadInput as refusal:
        found = f"{refusal} {refusal.place}"
        assert archive_path.name in found or "Streaming_History" in found
        assert shared_setup.sql("select 1 from raw.listening_events") == []
        return
    (file,) = result.files
    counts = file.accounting
    assert counts.unaccounted == 0
    assert shared_setup.one("select count(*) from raw.listening_events") == counts.loaded
    assert shared_setup.one("select count(*) from ops.quarantine") == counts.quarantined
    assert shared_setup.sql(STAGING) == []
    if file.error:
        assert result.status == "completed_with_errors"
        assert "Streaming_History" in file.error
    else:
        assert counts.quarantined > 0
    # What is whole comes in beside it, and the broken one again changes nothing.
    shared_setup.bring(write_rows(archive_path.with_name("good.zip"), row()))
    again = shared_setup.bring(archive_path)
    assert (again.accounting.loaded, again.accounting.present) == (0, counts.loaded)
    assert shared_setup.one("select count(*) from ops.quarantine") == counts.quarantined


@by_name(ODD_MEMBERS)
def test_what_is_only_odd_is_taken_row_by_row(shared_setup: Setup, archive_path: Path, maker: Maker) -> None:
    result = shared_setup.bring(maker(archive_path))
    assert result.status == "completed"
    assert result.accounting.loaded > 0
    assert result.accounting.unaccounted == 0
