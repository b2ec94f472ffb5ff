"""`myi playlists restore` and `from-plays`: playlists made from another one's history, or from plays."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.text import Text

from myi_pipeline.cli.output import counted, plain
from myi_pipeline.cli.playlists_of_user import PlaylistArgument
from myi_pipeline.cli.session import DAY, JsonOption, WrongUsage, a_day, checking_options, open_session, warehouse
from myi_pipeline.cli.users import Key

if TYPE_CHECKING:
    from myi_pipeline.playlists.own_lists import MadeList
    from myi_pipeline.postgres.connections import Warehouse
    from myi_pipeline.web.reads.played_lists import ListedTrackRow, PlayedDays, PlayedList

_DAYS = re.compile(r"(\d{4}-\d{2}-\d{2})?\.\.(\d{4}-\d{2}-\d{2})?\Z", re.ASCII)
_YEAR, _MONTH = re.compile(r"\d{4}\Z", re.ASCII), re.compile(r"\d{4}-\d{2}\Z", re.ASCII)


def add_commands(app: typer.Typer) -> None:
    """Adds the commands to the group `playlists`."""
    app.command("restore")(restore_command)
    app.command("from-plays")(from_plays_command)


def restore_command(
    key: Key,
    playlist: PlaylistArgument,
    at: Annotated[
        str | None, typer.Option("--at", metavar="DATE", help="As it was at the end of this day, or at this time.")
    ] = None,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", min=1, help="As it was in this version.")
    ] = None,
    removed: Annotated[
        bool,
        typer.Option(
            "--removed",
            help="Only what has been removed since then; without a day or version, whatever was ever removed.",
        ),
    ] = False,
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Name of the new playlist.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new playlist from a former version of one. The original does not change."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.own_lists import name_of, restore
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.transport import utc_now

    if at is not None and version is not None:
        raise WrongUsage("Give either --at or --version.")
    if at is None and version is None and not removed:
        raise WrongUsage(
            "Choose a version with --at DATE or --version N, or --removed for everything that was ever removed."
        )
    with checking_options():
        name = None if name is None else name_of(name)
    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user = get_user(connection, user_key=key)
        made = restore(
            connection,
            user_id=user.user_id,
            playlist_id=playlist,
            version_no=version,
            before=_end_of(at, ZoneInfo(user.time_zone)) if at is not None else None,
            only_removed=removed,
            name=name,
            now=utc_now(),
        )
    session.output.result({"made": made}, lambda console: _render(console, key, made))


def from_plays_command(
    key: Key,
    period: Annotated[
        str,
        typer.Option(
            metavar="PERIOD", help="week, month, year or all; a year 2024, a month 2024-03, or days FROM..TO."
        ),
    ] = "all",
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=500, help="Most tracks.")] = 50,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the playlist.")] = None,
    rank_by: Annotated[str, typer.Option(metavar="plays|time", help="What counts.")] = "plays",
    by: Annotated[str, typer.Option(metavar="recording|track", help="Songs or single tracks.")] = "recording",
    new_only: Annotated[bool, typer.Option("--new-only", help="Only what was first heard during these days.")] = False,
    not_since: Annotated[
        date | None,
        typer.Option(parser=a_day, metavar=DAY, help="Only what was not heard on this day or later."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a playlist of what was played most. Making it again adds a version if anything differs."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.own_lists import keep_contents, name_of
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.transport import utc_now
    from myi_pipeline.web.reads.played_lists import PlayedList
    from myi_pipeline.web.reads.top import BYS, Listed

    ranked = next((each for each in BYS if each == rank_by), None)
    if ranked is None or by not in tuple(Listed):
        raise WrongUsage("--rank-by is plays or time; --by is recording or track.")
    with checking_options():
        name = None if name is None else name_of(name)
    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user = get_user(connection, user_key=key)
        zone, now = ZoneInfo(user.time_zone), utc_now()
        wanted = PlayedList(
            days=_days(period, now.astimezone(zone).date()),
            limit=limit,
            by=ranked,
            counted_by=Listed(by),
            new_only=new_only,
            not_since=not_since,
        )
        tracks = _tracks(opened, user.user_id, wanted, today=now.astimezone(zone).date(), zone=zone)
        made = keep_contents(
            connection,
            user_id=user.user_id,
            name=name or wanted.name,
            description=wanted.description,
            content_ids=[track.track_id for track in tracks],
            now=now,
        )
    session.output.result({"made": made, "tracks": tracks}, lambda console: _render(console, key, made))


def _tracks(
    opened: Warehouse, user_id: int, wanted: PlayedList, *, today: date, zone: ZoneInfo
) -> list[ListedTrackRow]:
    """According to the marts; none before the first refresh."""
    import psycopg
    from psycopg.rows import dict_row

    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.postgres.user_scope import set_user
    from myi_pipeline.web.reads.played_lists import HeardRow, ListedTrackRow, top_statement, tracks_statement

    with opened.connect(Role.API) as connection, connection.cursor(row_factory=dict_row) as cursor:
        set_user(connection, user_id)
        try:
            sql, values = top_statement(wanted, today=today)
            heard = [
                HeardRow(row["track_id"], row["counted_plays"])
                for row in cursor.execute(sql, {"user_id": user_id, **values})
            ]
            sql, values = tracks_statement(wanted, heard, zone)
            rows = cursor.execute(sql, {"user_id": user_id, **values}).fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return []
    return [ListedTrackRow(**row) for row in rows]


def _days(period: str, today: date) -> PlayedDays:
    """Raises WrongUsage."""
    from myi_pipeline.web.reads.played_lists import PlayedDays
    from myi_pipeline.web.reads.spans import Period

    try:
        if period in tuple(Period):
            return PlayedDays.of(Period(period), today)
        if _YEAR.match(period):
            return PlayedDays.of(Period.YEAR, date(int(period), 1, 1))
        if _MONTH.match(period):
            return PlayedDays.of(Period.MONTH, date.fromisoformat(f"{period}-01"))
        if (found := _DAYS.match(period)) and (found[1] or found[2]):
            first, last = (date.fromisoformat(each) if each else None for each in found.groups())
            return PlayedDays.between(first, last, today=today)
    except ValueError as error:
        raise WrongUsage(f"--period {plain(period)}: {error}.") from None
    raise WrongUsage("--period is week, month, year or all, a year 2024, a month 2024-03, or days FROM..TO.")


def _end_of(at: str, zone: ZoneInfo) -> datetime:
    """The moment after a day of that zone, or after a moment. Raises WrongUsage."""
    try:
        given = datetime.fromisoformat(at)
    except ValueError:
        raise WrongUsage("--at is a day such as 2024-03-09 or a moment such as 2024-03-09T21:14:07Z.") from None
    if len(at) == len("2024-03-09"):
        return (given + timedelta(days=1)).replace(tzinfo=zone)
    moment = given if given.tzinfo is not None else given.replace(tzinfo=zone)
    return moment + timedelta(microseconds=1)


def _render(console: Console, key: str, made: MadeList) -> None:
    what = "is kept" if made.is_new else "is unchanged"
    console.print(
        Text(plain(f"Playlist {made.playlist_id}, {made.name}, {what}: {counted(made.entries, 'track')}.")),
        soft_wrap=True,
    )
    console.print(
        f"To write it to a file: myi playlists export {key} {made.playlist_id} --to m3u8. To move it to a service:"
        f" myi migrate-playlist plan {key} {made.playlist_id}",
        soft_wrap=True,
    )
