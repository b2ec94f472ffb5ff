"""What an older version has imported, after the upgrade: covered, named and kept as if it had been imported today."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from myi_pipeline.catalogue.plays import ContentKind, make_content
from myi_pipeline.postgres.connections import with_parameters
from myi_pipeline.postgres.migrations import runner
from tests.integration.archives.setups import Setup

SCHEMAS = "app, raw, ops, load, staging, intermediate, marts"


@pytest.fixture
def older_setup(server_for: Callable[[str], Any]) -> Iterator[Setup]:
    """A database whose schema is that of revision 0006."""
    server = server_for("embedded")
    name = f"{server.template.database}_upgrade"
    try:
        warehouse = server.clone(name)
        with psycopg.connect(with_parameters(server.admin_url, dbname=name), autocommit=True) as admin:
            admin.execute(f"drop schema {SCHEMAS} cascade".encode())
        Setup(warehouse).sql("create schema ops")
        runner.upgrade(warehouse, "0006")
        yield Setup(warehouse)
    finally:
        server.drop(name)


def test_an_upgrade_brings_older_imports_to_what_they_would_be_today(older_setup: Setup) -> None:
    setup = older_setup
    user = setup.add_user()
    setup.sql("update app.users set time_zone = 'Europe/Berlin'")
    import_id = setup.one(
        "insert into app.imports (user_id, sha256, archive_name, kind, status, attempt, rows_read, rows_loaded,"
        " rows_quarantined) values (%s, sha256('a'), 'a.zip', 'mixed', 'completed', 1, 6, 4, 2) returning import_id",
        user,
    )
    for number, (name, kind, first, last) in enumerate(
        [
            ("x/Streaming_History_Audio_2018_0.json", "extended_audio", "2018-01-01", "2018-06-01"),
            ("x/Streaming_History_Audio_2019_3.json", "extended_audio", "2019-03-01", "2019-06-01"),
            ("x/Streaming_History_Video_2010-2019.json", "extended_video", "2010-01-01", "2019-01-01"),
        ]
    ):
        setup.sql(
            "insert into app.import_files"
            " (import_id, attempt, file_no, file_name, kind, status, covered_from, covered_to)"
            " values (%s, 1, %s, %s, %s, 'completed', %s, %s)",
            import_id, number, name, kind, f"{first}Z", f"{last}Z",
        )  # fmt: skip
    setup.sql(
        "insert into raw.covered_spans (user_id, import_id, source_id, covered_from, covered_to)"
        " values (%s, %s, 1, '2010-01-01Z', '2019-06-01Z')",
        user, import_id,
    )  # fmt: skip
    rows = [
        ("in_the_future", '{"ts": "2031-01-01T00:00:00Z", "ms_played": 5}'),
        ("in_the_future", '{"ts": "2031-01-01T00:00:00Z", "master_metadata_track_name": "A title that was cut…"}'),
    ]
    for index, (reason, row) in enumerate(rows):
        setup.sql(
            "insert into ops.quarantine"
            " (user_id, import_id, file_no, file_name, row_index, reason, detail, row_content)"
            " values (%s, %s, 0, 'x', %s, %s, 'd', %s::jsonb)",
            user, import_id, index, reason, row,
        )  # fmt: skip
    setup.sql("select ops.ensure_event_partitions('2024-01-01', '2024-01-01')")
    artist = setup.one(
        "insert into raw.artists (name, artist_key) values ('Unknown Artist', md5('a')::uuid) returning artist_id"
    )
    contents = []
    for title in ("Unknown Track", "unknown track", "A song"):
        made = make_content(kind=ContentKind.TRACK, uri=None, title=title, creator="Unknown Artist", collection=None)
        contents.append(
            setup.one(
                "insert into raw.contents (content_key, kind_id, title, creator, match_title, match_key, artist_id,"
                " names_played_at, names_batch_id) values (%s, 1, %s, 'Unknown Artist', lower(%s), %s, %s, now(), 1)"
                " returning content_id",
                made.key, title, title, made.match_key, artist,
            )
        )  # fmt: skip
    for content in (*contents, None):
        setup.sql(
            "insert into raw.listening_events (user_id, played_at, content_id, ms_played, source_id, batch_id)"
            " values (%s, '2024-01-05 12:00Z', %s, 5, 2, 1)",
            user, content,
        )  # fmt: skip

    runner.upgrade(setup.warehouse, "0007")

    covered = "select kind, covered_from::date::text, covered_to::date::text from raw.covered_spans order by 1, 2"
    assert [row for row in setup.sql(covered) if row[0] in ("music", "video")] == [
        ("music", "2018-01-01", "2018-06-01"),
        ("music", "2019-03-01", "2019-06-01"),
        ("video", "2010-01-01", "2019-01-31"),
    ]
    assert setup.sql("select due_at::date::text, whole_row is not null from ops.quarantine order by row_index") == [
        ("2031-01-01", True),
        (None, False),
    ]
    events = "select c.title, c.creator, e.occurrence from raw.listening_events as e"
    assert setup.sql(f"{events} left join raw.contents as c using (content_id) order by 1, 3") == [
        ("A song", None, 0),
        (None, None, 0),
        (None, None, 1),
        (None, None, 2),
    ]
    assert setup.sql("select title, creator, artist_id from raw.contents") == [("A song", None, None)]
    # A zone is checked when it is set, and not whenever a row is touched or restored.
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        setup.sql("update app.users set time_zone = 'Asia/Atlantis'")
    setup.sql("update app.users set display_name = 'Ana'")
