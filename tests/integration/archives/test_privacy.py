"""IP addresses, user agents and user names: in no column of any table, while an import runs and afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from myi_pipeline.archives.accounting import ImportProgress
from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.connections import Role
from tests.integration.archives.conftest import set_steps
from tests.integration.archives.setups import Setup, row, write_files

SECRETS = {
    "ip_addr": "198.51.100.23",
    "ip_addr_decrypted": "2001:db8::dead:beef",
    "user_agent_decrypted": "CanaryAgent/9.9",
    "username": "canary.listener",
}
# A row is refused for each of these reasons, personal fields and all.
BAD = (
    {"ts": "yesterday"},
    {"ts": None},
    {"ms_played": -1},
    {"ms_played": "many"},
    {"spotify_track_uri": ["spotify:track:1"]},
    {"spotify_track_uri": None, "master_metadata_track_name": "x" * 5_000},
    {"spotify_track_uri": {}, "master_metadata_track_name": {"username": SECRETS["username"]}, "shuffle": "perhaps"},
    {"ts": "1999-01-01T00:00:00Z"},
    {"ts": 17, "IP_ADDR": SECRETS["ip_addr"], "nested": {"username": SECRETS["username"], "deep": [SECRETS]}},
    {"ts": 18, "username": [SECRETS["username"]]},
)
TABLES = """
select format('select %L, t::text from %s as t', c.oid::regclass, c.oid::regclass),
    c.relnamespace = 'load'::regnamespace
from pg_class as c
where c.relkind in ('r', 'p', 'm') and c.relnamespace::regnamespace::text in ('app', 'raw', 'ops', 'load')
"""


def leaks(setup: Setup) -> list[tuple[str, str]]:
    """Rows that hold a secret as text, or as the bytes of that text."""
    wanted = [value.casefold() for value in SECRETS.values()]
    wanted += [value.encode().hex() for value in SECRETS.values()]
    rows: list[tuple[str, str]] = []
    connect = setup.warehouse.connect
    with connect(Role.OWNER) as owner, connect(Role.INGEST) as ingest:
        for query, is_staging in owner.execute(TABLES.encode()).fetchall():
            rows += (ingest if is_staging else owner).execute(query).fetchall()
    return [(table, text) for table, text in rows if any(secret in text.casefold() for secret in wanted)]


def test_the_search_finds_what_it_looks_for(shared_setup: Setup) -> None:
    shared_setup.sql("update app.users set display_name = %s", SECRETS["username"].upper())
    assert [table for table, _ in leaks(shared_setup)] == ["app.users"]


def test_nothing_personal_is_stored_anywhere(
    shared_setup: Setup, archive_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_steps(monkeypatch, batch=4, chunk=4)
    rows = [row(second, **SECRETS) for second in range(20)]
    rows += [row(second, **{**SECRETS, **bad}) for second, bad in enumerate(BAD)]
    found: list[tuple[str, str]] = []

    def look(progress: ImportProgress) -> None:
        if progress.stage == "loading":
            found.extend(leaks(shared_setup))

    name = "MyData/endsong_{}.json".format
    result = shared_setup.bring(
        write_files(archive_path, {name(0): rows, name(1): [row(900, **SECRETS)], name(2): [row(901, username="bob")]}),
        on_progress=look,
    )
    assert result.accounting.quarantined == len(BAD)
    assert result.warnings
    assert found == []
    assert leaks(shared_setup) == []
    shown = repr(result.as_dict())
    assert not any(value in shown for value in SECRETS.values())


def test_nothing_personal_is_in_the_words_of_a_refusal(
    shared_setup: Setup, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "endsong_0.json"
    broken.write_text(
        f'[{{"username": "{SECRETS["username"]}", "ip_addr": "{SECRETS["ip_addr"]}" oops', encoding="utf-8"
    )
    try:
        words = str(shared_setup.bring(broken).files[0].error)
    except BadInput as error:
        words = f"{error} {error.place} {error.rule}"
    assert words
    assert not any(value in words + caplog.text for value in SECRETS.values())
    assert leaks(shared_setup) == []
