"""What each role may read, proved in the database: whatever a query forgets, it meets one user's rows alone."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import psycopg
import pytest
import yaml

from myi_pipeline.catalogue.plays import ContentKind
from myi_pipeline.playlists.store import store_playlist
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry, PlaylistHead
from tests.architecture.repository import marts as mart_files
from tests.dbt.conftest import Marts
from tests.dbt.test_corrections import correct
from tests.dbt.test_genres import describe
from tests.dbt.test_recordings import decide

ALL_MARTS = [path.stem for path in mart_files()]
# The shared catalogue, which no route lists without the plays of its user.
CATALOGUE = {
    "dim_album_tracks",
    "dim_contents",
    "dim_contexts",
    "dim_date",
    "dim_shows",
    "dim_tracks",
    "dim_artists",
    "dim_albums",
    "search_names",
    "dim_recordings",
    "dim_genres",
    "bridge_track_genres",
    "bridge_artist_genres",
}


def personal() -> list[str]:
    """The marts with user_id, by what their models say."""
    found = []
    for path in mart_files():
        described = yaml.safe_load(path.with_suffix(".yml").read_text(encoding="utf-8"))
        columns = next(each["columns"] for each in described["models"] if each["name"] == path.stem)
        if any(column["name"] == "user_id" for column in columns):
            found.append(path.stem)
    return found


PERSONAL = personal()


@pytest.fixture
def filled(marts: Marts) -> Marts:
    """Two users with plays of the same song, under two ids, and episode on three days; each hides one, and decides that
    a third id is a song of its own. Its genre is known."""
    song = marts.add_content("Song", "Artist", uri="spotify:track:0000000000000000000001", album="Album")
    remastered = marts.add_content(
        "Song - Remastered", "Artist", uri="spotify:track:0000000000000000000002", album="Best"
    )
    again = marts.add_content("Song", "Artist", uri="spotify:track:0000000000000000000003", album="Hits")
    episode = marts.add_content("Episode", None, album="Show", kind=ContentKind.EPISODE)
    for key in ("ana", "ben"):
        user_id = marts.add_user(key)
        for day, content in (("01", song), ("02", again), ("09", episode)):
            marts.add_play(user_id, f"2024-03-{day} 12:00Z", content)
        marts.sql(
            "insert into raw.top_items (user_id, taken_on, entity_kind, term, rank, content_id, taken_at)"
            " values (%s, '2024-03-02', 'track', 'short_term', 1, %s, '2024-03-02 12:00Z')",
            user_id, song,
        )  # fmt: skip
        marts.sql("insert into raw.polled_spans (user_id, polled_from, polled_to) values (%s, '2024-03-01Z', now())",
                  user_id)  # fmt: skip
        marts.sql(
            "with archive as (insert into app.imports (user_id, sha256, archive_name, kind)"
            " values (%s, sha256('a'), 'a', 'mixed') returning import_id)"
            " insert into raw.covered_spans (user_id, import_id, source_id, kind, covered_from, covered_to)"
            " select %s, import_id, 1, 'music', '2024-01-01Z', '2024-02-01Z' from archive",
            user_id, user_id,
        )  # fmt: skip
        marts.add_play(user_id, "2024-03-05 12:00Z", song)
        correct(marts, user_id, "hide", from_at="2024-03-05 00:00Z", until_at="2024-03-06 00:00Z")
        # The rules make one song of the three; for these two listeners they are two.
        marts.add_play(user_id, "2024-03-03 12:00Z", remastered)
        decide(marts, user_id, "apart", remastered)
        with marts.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            store_playlist(
                connection,
                user_id=user_id,
                account_id=None,
                provider="file",
                head=PlaylistHead(playlist_id="a list", name="A list"),
                entries=[PlaylistEntry(track=ListedTrack(uri="spotify:track:0000000000000000000001", title="Song"))],
                now=datetime(2024, 3, 1, tzinfo=UTC),
            )
    describe(marts, song)
    marts.refreshed()
    return marts


def users_seen(marts: Marts, mart: str, *, as_user: str | None) -> set[int]:
    with marts.warehouse.connect(Role.API) as connection:
        if as_user is not None:
            connection.execute("select set_config('app.user_id', %s, true)", (as_user,))
        return {row[0] for row in connection.execute(f"select user_id from marts.{mart}".encode())}


def keep(marts: Marts) -> None:
    """The rule for every personal mart."""
    (ana,), (ben,) = marts.sql("select user_id from app.users order by user_id")
    for mart in PERSONAL:
        both = {row[0] for row in marts.read(f"select user_id from marts.{mart}")}
        assert both == {ana, ben}, f"{mart} has no rows to hide"
        assert users_seen(marts, mart, as_user=None) == set(), mart
        assert users_seen(marts, mart, as_user="") == set(), mart
        assert users_seen(marts, mart, as_user=str(ana)) == both & {ana}, mart
        assert users_seen(marts, mart, as_user=str(ben)) == both & {ben}, mart


def test_the_personal_marts_are_all_but_the_catalogue() -> None:
    assert set(ALL_MARTS) - set(PERSONAL) == CATALOGUE


def test_every_mart_shows_one_users_rows_also_after_it_was_swapped_and_rebuilt(filled: Marts) -> None:
    keep(filled)
    api, analyst = filled.warehouse.role_name(Role.API), filled.warehouse.role_name(Role.ANALYST)

    # What a tool that swaps tables does: the new one has rows and columns, and neither policies nor grants. The views
    # that go with the old ones come back without the reader's own rights.
    with filled.warehouse.connect(Role.DBT, autocommit=True) as connection:
        views = connection.execute(
            # In the order in which they were made: some are views over others.
            "select relname, pg_get_viewdef(oid) from pg_class"
            " where relnamespace = 'marts'::regnamespace and relkind = 'v' order by oid"
        ).fetchall()
        assert {"fct_plays", "agg_period_tracks"} <= {name for name, _ in views}
        for (mart,) in connection.execute("select tablename from pg_tables where schemaname = 'marts'").fetchall():
            connection.execute(f"create table marts.swapped (like marts.{mart} including all)".encode())
            connection.execute(f"insert into marts.swapped select * from marts.{mart}".encode())
            connection.execute(f"drop table marts.{mart} cascade".encode())
            connection.execute(f"alter table marts.swapped rename to {mart}".encode())
            # The worst case: it can be read, and row-level security is off.
            connection.execute(f'grant select on marts.{mart} to "{api}", "{analyst}"'.encode())
        for view, query in views:
            connection.execute(f"create or replace view marts.{view} as {query}".encode())
            connection.execute(f'grant select on marts.{view} to "{api}", "{analyst}"'.encode())
    with pytest.raises(AssertionError, match=r"fct_plays|agg_|dim_users"):
        keep(filled)

    filled.sql("update ops.mart_state set fingerprint = 'another'")
    assert filled.refreshed().is_rebuild
    keep(filled)
    assert filled.read("select count(*) from marts.fct_plays") == [(8,)]

    # A policy alone that went missing comes back with the next refresh that touches the mart.
    with filled.warehouse.connect(Role.DBT, autocommit=True) as connection:
        connection.execute("drop policy one_user on marts.fct_plays_stored")
    (ana,), _ = filled.sql("select user_id from app.users order by user_id")
    assert users_seen(filled, "fct_plays", as_user=str(ana)) == set()
    filled.add_play(ana, "2024-03-20 12:00Z")
    filled.refreshed()
    assert users_seen(filled, "fct_plays", as_user=str(ana)) == {ana}


def test_a_query_without_any_filter_learns_nothing_of_another_user(filled: Marts) -> None:
    """Nor indirectly: errors about hidden rows, statistics, a user whom the last request left behind."""
    (ana,), (ben,) = filled.sql("select user_id from app.users order by user_id")
    filled.sql("analyze", role=Role.DBT)
    with filled.warehouse.connect(Role.API, autocommit=True) as connection:
        with connection.transaction():
            connection.execute("select set_config('app.user_id', %s, true)", (str(ana),))
            divided = "select count(*) from marts.fct_plays where 1000 / (user_id - %s) is not null"
            assert connection.execute(divided, (ben,)).fetchone() == (4,)
            with pytest.raises(psycopg.errors.DivisionByZero):
                connection.execute(divided, (ana,))
        described = connection.execute("select tablename from pg_stats where schemaname = 'marts'").fetchall()
        assert set() < {row[0] for row in described} <= CATALOGUE
        # The pool hands the connection to the next request: nobody is set any more.
        assert connection.execute("select count(*) from marts.fct_plays").fetchone() == (0,)
        # What is no number is an error, and never every row.
        for nobody in ("0", "-1", str(2**31 - 1)):
            connection.execute("select set_config('app.user_id', %s, false)", (nobody,))
            assert connection.execute("select count(*) from marts.fct_plays").fetchone() == (0,)
        for nonsense in ("all", "1 or true", str(2**31)):
            connection.execute("select set_config('app.user_id', %s, false)", (nonsense,))
            with pytest.raises(psycopg.errors.DataError):
                connection.execute("select count(*) from marts.fct_plays")
        # Who asks is for the API to know, so its role may name anybody; it never sees two.
        seen = []
        for user in (ana, ben):
            connection.execute("select set_config('app.user_id', %s, false)", (str(user),))
            seen.append({row[0] for row in connection.execute("select user_id from marts.fct_plays")})
        assert seen == [{ana}, {ben}]


RIGHTS = """
select n.nspname || '.' || c.relname
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
where
    c.relkind in ('r', 'p', 'v', 'm', 'f')
    and n.nspname not in ('pg_catalog', 'information_schema')
    and n.nspname not like 'pg_%%'
    and has_schema_privilege(%s, n.oid, 'usage')
    and (has_table_privilege(%s, c.oid, %s) or has_any_column_privilege(%s, c.oid, %s))
"""
WRITING = "insert, update"
OTHER_WRITING = "delete, truncate, trigger"


def tables(marts: Marts, role: Role, rights: str) -> set[str]:
    name = marts.warehouse.role_name(role)
    column_rights = rights if "delete" not in rights else "references"
    return {row[0] for row in marts.sql(RIGHTS, name, name, rights, name, column_rights)}


@pytest.fixture
def built(marts_of_session: Marts) -> Marts:
    """The marts as the tests before left them; rights do not hang on rows."""
    if not marts_of_session.sql("select from ops.mart_state where completed_run_id is not null"):
        marts_of_session.refreshed()
    return marts_of_session


def test_the_api_role_selects_from_marts_and_can_do_nothing_else(built: Marts) -> None:
    assert tables(built, Role.API, "select") == {f"marts.{mart}" for mart in ALL_MARTS}
    assert tables(built, Role.API, WRITING) | tables(built, Role.API, OTHER_WRITING) == set()
    # The question would find something: the role that imports may write.
    assert "raw.listening_events" in tables(built, Role.INGEST, WRITING)
    with built.warehouse.connect(Role.API, autocommit=True) as connection:
        for statement in (
            "select * from raw.listening_events",
            "select * from app.credentials",
            "select * from app.sessions",
            "set transaction_read_only = off; delete from marts.fct_plays",
            "set transaction_read_only = off; delete from marts.fct_plays_stored",
            "begin read write; create temporary table t (x int)",
            "begin read write; create table marts.t (x int)",
            "set role postgres",
            *(f'set role "{built.warehouse.role_name(role)}"' for role in Role if role is not Role.API),
            f'set session authorization "{built.warehouse.role_name(Role.ANALYST)}"',
            "set row_security = off; select * from marts.fct_plays",
            "begin read write; create function pg_temp.f(int) returns bool language sql as 'select true'",
            "begin read write; alter table marts.fct_plays_stored disable row level security",
            "begin read write; drop policy one_user on marts.fct_plays_stored",
            "select pg_read_file('PG_VERSION')",
            "copy (select 1) to program 'true'",
        ):
            with pytest.raises(psycopg.Error) as refused:
                connection.execute(statement.encode())
            connection.rollback()
            assert refused.value.sqlstate in ("42501", "25006", "22023"), (statement, refused.value)
        assert connection.execute("show statement_timeout").fetchone() == ("5s",)
        assert connection.execute("show default_transaction_read_only").fetchone() == ("on",)


CALLABLE = """
select n.nspname || '.' || p.proname
from pg_proc as p
inner join pg_namespace as n on n.oid = p.pronamespace
where
    p.prosecdef
    and p.prorettype <> 'trigger'::regtype
    and has_schema_privilege(%s, n.oid, 'usage')
    and has_function_privilege(%s, p.oid, 'execute')
"""
POWERS = """
select r.rolname
from pg_roles as r
where
    r.rolname = any (%s)
    and (
        r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication
        or exists (select from pg_auth_members as m where m.member = r.oid)
        or has_database_privilege(r.rolname, current_database(), 'create')
        or exists (
            select from pg_namespace as n where n.nspname !~ '^pg_' and has_schema_privilege(r.rolname, n.oid, 'create')
        )
        or exists (select from pg_class as c where c.relowner = r.oid)
    )
"""


def test_no_role_that_serves_people_can_become_more_than_it_is(built: Marts) -> None:
    serving = [built.warehouse.role_name(role) for role in (Role.API, Role.APP, Role.MONITOR, Role.ANALYST)]
    assert built.sql(POWERS, serving) == []
    for name in serving:
        # A person's wishes (for a poll, for what is playing, for top lists), how many days wait to be counted, what
        # an archive waits for, and what a player submits (of which counts come back, and what was refused) take the
        # user as an argument, from an interface that knows who asks. A picture
        # takes its own digest, which only the marts hold, for the role that sees one user's plays. Whether an archive
        # is another user's is answered with yes or no, to anyone who has the archive.
        doors = {
            ("ops.poll_sooner",), ("ops.polling_of",), ("ops.picture_content",), ("app.is_anothers_archive",),
            ("app.are_anothers_rows",), ("ops.poll_now",), ("ops.now_playing_of",), ("ops.wish",),
            ("ops.days_to_count",), ("ops.import_queue_of",), ("ops.want_top_lists",),
            ("ops.accept_listens",), ("ops.tell_playing",), ("ops.count_submitted",), ("ops.submissions_of",),
            ("ops.refused_of",), ("ops.listens_waiting",), ("ops.note_latest_import",), ("ops.latest_import_of",),
            # How a person's linked services stand, which sources there are, and how many secrets each key seals.
            ("ops.services_of",), ("app.onward_of",), ("app.list_sources",), ("app.count_service_keys",),
            ("app.count_account_keys",), ("app.count_notice_keys",),
            # Which of the lists of the session's user have a picture of their service's.
            ("ops.pictures_of_playlists",),
            # A person's playlists with what was on them, lists that are made of these or removed, and which is to be
            # moved; the last takes the user of the transaction.
            ("ops.playlists_of",), ("ops.playlist_versions_of",), ("ops.playlist_entries_of",),
            ("ops.playlist_removed_of",), ("ops.keep_list",), ("ops.remove_list",), ("app.playlist_to_move",),
            # A playlist file, which another role stores.
            ("ops.accept_playlist_file",),
            # What would be erased of a person and what stands in the way, and a receipt, by its unguessable number.
            ("app.count_kept_of",), ("app.running_import_of",), ("app.erasure_receipt",),
            # A report or an invitation by its link, the latter for the user of the transaction; that a report was seen.
            ("app.open_share",), ("app.count_share_view",), ("app.claim_invitation",),
        }  # fmt: skip
        may = doors if name == built.warehouse.role_name(Role.APP) else set()
        assert set(built.sql(CALLABLE, name, name)) == may, name
    # Both questions would find something.
    assert built.sql(POWERS, [built.warehouse.role_name(Role.DBT)]) != []
    ingest = built.warehouse.role_name(Role.INGEST)
    # The first prunes what is older than 400 days and takes no argument; two delete what no play names, one deletes
    # what is said of a user who is erased; the others are for commands that show services, playlists and erasures.
    assert set(built.sql(CALLABLE, ingest, ingest)) == {
        ("app.prune_audit",),
        ("app.is_anothers_archive",),
        ("app.are_anothers_rows",),
        ("app.count_service_keys",),
        ("app.count_account_keys",),
        ("app.count_notice_keys",),
        ("ops.ensure_event_partitions",),
        ("ops.find_orphans",),
        ("ops.delete_orphans",),
        ("ops.services_of",),
        ("app.onward_of",),
        ("app.list_sources",),
        ("ops.playlists_of",),
        ("ops.playlist_versions_of",),
        ("ops.playlist_entries_of",),
        ("ops.playlist_removed_of",),
        ("ops.keep_list",),
        ("ops.remove_list",),
        ("ops.accept_playlist_file",),
        ("app.count_kept_of",),
        ("app.running_import_of",),
        ("app.erasure_receipt",),
        ("app.erase_audit",),
    }


def test_the_api_role_cannot_even_look_into_another_schema(built: Marts) -> None:
    api = built.warehouse.role_name(Role.API)
    found = built.sql(
        "select nspname, has_schema_privilege(%s, oid, 'usage') from pg_namespace"
        " where nspname !~ '^pg_' and nspname not in ('information_schema', 'public')",
        api,
    )
    assert {name for name, _ in found} >= {"app", "raw", "ops", "load", "staging", "intermediate", "marts"}
    assert {name for name, may_use in found if may_use} == {"marts"}


def test_personal_marts_are_tables_with_two_policies_or_views_with_the_readers_rights(built: Marts) -> None:
    """Any other view would show its owner's rows, which are everybody's."""
    found = built.sql(
        "select c.relname, c.relkind::text, c.relrowsecurity,"
        " array(select polname::text from pg_policy where polrelid = c.oid order by 1),"
        " coalesce(c.reloptions @> '{security_invoker=true}', false)"
        " from pg_class as c where c.relnamespace = 'marts'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')"
    )
    assert {name for name, *_ in found} == set(ALL_MARTS)
    assert {"fct_plays", "agg_period_tracks"} <= {name for name, kind, *_ in found if kind == "v"}
    for name, kind, is_secured, policies, is_invokers in found:
        if name not in CATALOGUE:
            assert (kind, is_secured, policies) == ("r", True, ["every_user", "one_user"]) or (
                (kind, is_invokers) == ("v", True)
            ), name


def test_the_analyst_reads_marts_and_nothing_else(built: Marts) -> None:
    assert tables(built, Role.ANALYST, "select") == {f"marts.{mart}" for mart in ALL_MARTS}
    assert tables(built, Role.ANALYST, WRITING) | tables(built, Role.ANALYST, OTHER_WRITING) == set()


def test_the_role_for_sessions_sees_no_play_no_raw_row_and_no_sealed_login(built: Marts) -> None:
    seen = tables(built, Role.APP, "select")
    assert not {table for table in seen if table.startswith(("raw.", "marts.", "staging.", "intermediate."))}
    with built.warehouse.connect(Role.APP, autocommit=True) as connection:
        for column in ("refresh_token", "*"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"select {column} from app.credentials".encode())
        connection.execute("select account_key, status from app.credentials")


def test_pictures_are_given_out_by_digest_alone(built: Marts) -> None:
    """Nobody that serves people lists them; whoever sees digests has no bytes, and whoever has bytes no digests."""
    content = b"a picture"
    built.sql("insert into raw.picture_files values (sha256(%s), 'image/png', %s, now())", content, content)
    try:
        asked = "select media_type, content from ops.picture_content(%s)"
        with built.warehouse.connect(Role.APP, autocommit=True) as connection:
            assert connection.execute(asked, (sha256(content).digest(),)).fetchall() == [("image/png", content)]
            for unknown in (b"", b"%", sha256(b"another").digest(), None):
                assert connection.execute(asked, (unknown,)).fetchall() == []
        for role in (Role.API, Role.APP, Role.MONITOR, Role.ANALYST):
            with built.warehouse.connect(role, autocommit=True) as connection:
                for table in ("raw.picture_files", "raw.kept_pictures", "ops.picture_fetches"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute(f"select * from {table}".encode())
                if role is not Role.APP:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute(asked, (b"",))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            built.sql("select * from raw.picture_files", role=Role.DBT)
    finally:
        built.sql("delete from raw.picture_files")


def test_the_role_for_metrics_sees_figures_alone(built: Marts) -> None:
    assert tables(built, Role.MONITOR, "select") == {
        "ops.figures",
        "ops.mart_figures",
        "ops.genre_figures",
        "ops.backup_figures",
        "ops.schema_version",
        "ops.account_figures",
        "ops.service_unit_figures",
    }
    assert tables(built, Role.MONITOR, WRITING) == set()
    columns = built.sql(
        "select distinct column_name from information_schema.columns where table_name = 'figures'", role=Role.MONITOR
    )
    assert {row[0] for row in columns} == {"name", "label", "value"}
    for view in ("figures", "mart_figures", "genre_figures", "backup_figures"):
        assert "ana" not in str(built.sql(f"select * from ops.{view}", role=Role.MONITOR))
