"""`myi corrections`: hiding, deleting and moving a user's plays, with a preview, and undoing."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from myi_pipeline.cli.output import counted, hours, moment, table
from myi_pipeline.cli.session import DAY, JsonOption, WrongUsage, a_day, checking_options, open_session, warehouse
from myi_pipeline.cli.users import Key
from myi_pipeline.errors import BadInput

if TYPE_CHECKING:
    from myi_pipeline.people.corrections import Correction, Described
    from myi_pipeline.postgres.connections import Warehouse

app = typer.Typer(
    help="Plays that a user hid, deleted or corrected.", no_args_is_help=True, rich_markup_mode=None
)  # fmt: skip


@app.command("list")
def show(key: Key, as_json: JsonOption = False) -> None:
    """List a user's corrections: those in force, then those that were undone."""
    from myi_pipeline.people import corrections, manage_users
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user = manage_users.get_user(connection, user_key=key)
        found = corrections.list_corrections(connection, user_id=user.user_id)

    def render(console: Console) -> None:
        if not found:
            console.print("No corrections. Make one with: myi corrections add KEY")
            return
        rows = (
            (each.correction_id, _deed(each), _plays(each), each.note, moment(each.created_at), moment(each.undone_at))
            for each in found
        )
        console.print(table(None, (">id", "what", "which plays", "note", "made", "undone"), rows))

    session.output.result({"corrections": found}, render)


@app.command("add")
def add(
    key: Key,
    action: Annotated[str, typer.Option("--action", metavar="ACTION", help="hide, delete or correct.")],
    first: Annotated[
        date | None, typer.Option("--from", parser=a_day, metavar=DAY, help="From this day of the user on.")
    ] = None,
    last: Annotated[
        date | None, typer.Option("--to", parser=a_day, metavar=DAY, help="Up to and including this day of the user.")
    ] = None,
    artist: Annotated[int | None, typer.Option("--artist", metavar="ID", min=1, help="Plays of this artist.")] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="Plays reported by this source.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="track, episode, chapter or unknown.")
    ] = None,
    shift: Annotated[
        str | None, typer.Option("--shift", metavar="H:MM", help="Move them: +1:00 for a clock that was slow.")
    ] = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="What it is for.")] = None,
    for_good: Annotated[
        bool, typer.Option("--for-good", help="With delete: remove the sources' reports as well.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --for-good: do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what it would affect.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Hide, delete or move the plays that match all options, including those that arrive later."""
    from myi_pipeline.people import corrections, manage_users
    from myi_pipeline.people.corrections import Described, Wish
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.web.reads.spans import moment as instant
    from myi_pipeline.web.reads.spans import zone_of

    session = open_session(as_json=as_json)
    number = None
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user = manage_users.get_user(connection, user_key=key)
        zone = zone_of(user.time_zone)
        described = Described(
            from_at=instant(first, zone) if first is not None else None,
            until_at=instant(last, zone, is_end=True) if last is not None else None,
            artist_id=artist,
            source=source,
            kind=kind,  # type: ignore[arg-type]
        )
        with checking_options():
            shift_s = corrections.shift_of(shift) if shift is not None else None
            wish = Wish(action=action, described=described, shift_s=shift_s, note=note, for_good=for_good)  # type: ignore[arg-type]
            corrections.check_wish(wish)
            corrections.check_source(connection, source)
        reached = _reached(opened, user.user_id, described)
        if for_good and not dry_run and not yes:
            if as_json:
                raise WrongUsage("--json cannot prompt; add --yes")
            typer.confirm(f"{_reach(reached)} Delete them for good?", abort=True, err=True)
        if not dry_run:
            number = corrections.add_correction(connection, user_id=user.user_id, wish=wish)

    def render(console: Console) -> None:
        console.print(_reach(reached))
        if number is not None and for_good:
            console.print(
                f"They are deleted, and so are matching plays that arrive later while correction {number} is in force."
            )
        elif number is not None:
            console.print(
                f"Correction {number} takes effect with the next refresh; to undo it: myi corrections undo {key}"
                f" {number}"
            )

    session.output.result({"correction": number, "reached": reached}, render)


@app.command("undo")
def undo(
    key: Key,
    correction_id: Annotated[int, typer.Argument(metavar="ID", help="Its id, as `myi corrections list` shows it.")],
    as_json: JsonOption = False,
) -> None:
    """Undo a correction: with the next refresh, its plays are again as the sources report them."""
    from myi_pipeline.people import corrections, manage_users
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user = manage_users.get_user(connection, user_key=key)
        if not corrections.undo_correction(connection, user_id=user.user_id, correction_id=correction_id):
            raise BadInput(f"{key} has no correction {correction_id} in force", place="correction id")
    session.output.result({"undone": correction_id}, lambda console: console.print(f"{correction_id} is undone."))


def _reached(opened: Warehouse, user_id: int, described: Described) -> dict[str, Any]:
    """According to the marts; nothing before the first refresh."""
    import psycopg
    from psycopg.rows import dict_row

    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.postgres.user_scope import set_user
    from myi_pipeline.web.reads.corrections import reached_statement

    sql, values = reached_statement(described)
    with opened.connect(Role.API) as connection, connection.cursor(row_factory=dict_row) as cursor:
        set_user(connection, user_id)
        try:
            found = cursor.execute(sql, {"user_id": user_id, **values}).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            found = None
    return found or {"plays": 0, "counted_plays": 0, "ms_played": 0, "days": 0, "first_day": None, "last_day": None}


def _reach(reached: dict[str, Any]) -> str:
    if not reached["plays"]:
        return "No plays match now."
    first, last = reached["first_day"], reached["last_day"]
    return (
        f"{counted(reached['plays'], 'play')}, {hours(reached['ms_played'] / 3_600_000)} hours,"
        f" on {counted(reached['days'], 'day')} from {first} to {last}"
    )


def _deed(correction: Correction) -> str:
    parts: list[str] = [correction.action if correction.for_good_at is None else "delete for good"]
    if correction.shift_s is not None:
        parts.append(f"by {correction.shift_s} s")
    if correction.to_content_id is not None:
        parts.append(f"to content {correction.to_content_id}")
    return " ".join(parts)


def _plays(correction: Correction) -> str:
    said = {
        "play": correction.event_id,
        "from": correction.from_at,
        "before": correction.until_at,
        "artist": correction.artist_id,
        "source": correction.source,
        "kind": correction.kind,
    }
    return ", ".join(f"{name} {_value(value)}" for name, value in said.items() if value is not None)


def _value(value: object) -> str:
    return moment(value) if isinstance(value, datetime) else str(value)
