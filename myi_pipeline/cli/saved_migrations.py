"""`myi migrate-playlist save` and related commands: playlists kept in sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from myi_pipeline.cli.output import moment, number, plain, table
from myi_pipeline.cli.session import JsonOption, open_session, warehouse
from myi_pipeline.cli.users import Key

if TYPE_CHECKING:
    from collections.abc import Callable

    from myi_pipeline.playlists.migration.saved import SavedView
    from myi_pipeline.postgres.connections import Connection

SavedArgument = Annotated[int, typer.Argument(metavar="SAVED", help="Its id in `myi migrate-playlist saved`.")]


def add_commands(app: typer.Typer) -> None:
    app.command("save")(save_command)
    app.command("saved")(saved_command)
    app.command("repeat")(repeat_command)
    app.command("pause")(pause_command)
    app.command("resume")(resume_command)
    app.command("forget")(forget_command)


def save_command(
    key: Key,
    migration: Annotated[int, typer.Argument(metavar="MIGRATION", help="An applied migration.")],
    by_hand: Annotated[
        bool, typer.Option("--by-hand", help="Only on request; default: daily, if the source has changed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Keep the playlist in sync: entries added to the source are added there, too. Decisions are kept."""
    from myi_pipeline.playlists.migration import saved
    from myi_pipeline.providers.transport import utc_now

    _change(
        key, as_json,
        lambda connection, user_id: saved.save(
            connection, user_id=user_id, migration_id=migration, is_daily=not by_hand, now=utc_now()
        ),
    )  # fmt: skip


def saved_command(
    key: Key,
    saved: Annotated[int | None, typer.Argument(metavar="[SAVED]", help="Only this one; default: all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List playlists kept in sync, and what each is waiting for."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.migration.saved import get_saved, list_saved
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=key).user_id
        if saved is None:
            found = list_saved(connection, user_id=user_id)
        else:
            found = (get_saved(connection, user_id=user_id, saved_id=saved),)

    def render(console: Console) -> None:
        if not found:
            _say(console, f"No playlist is kept in sync. Start with: myi migrate-playlist save {key} MIGRATION")
            return
        columns = (">saved", "playlist", "to", "how", "state", ">in doubt", "next look (UTC)", "last run", "")
        console.print(table(None, columns, [_row(each) for each in found]))

    session.output.result({"saved": [_document(each) for each in found]}, render)


def repeat_command(key: Key, saved: SavedArgument, as_json: JsonOption = False) -> None:
    """Run it now: read the target and write what it lacks."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.migration import views
    from myi_pipeline.playlists.migration.driving import Cancelled, Driver, GivenUp, PutOff
    from myi_pipeline.playlists.migration.saved import get_saved, repeat
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    trouble, applied = None, None
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=key).user_id
        run = repeat(connection, user_id=user_id, saved_id=saved, now=utc_now())
        try:
            applied = Driver(session.settings, opened).run_now(run.migration_id)
        except PutOff as later:
            when = f"{later.goes_on_at:%Y-%m-%d %H:%M} UTC"
            trouble = f"it continues at {when} or later, automatically while `myi up` runs: {later}"
        except (GivenUp, Cancelled) as ended:
            trouble = str(ended)
        view = views.get_migration(connection, user_id=user_id, migration_id=run.migration_id)
        found = get_saved(connection, user_id=user_id, saved_id=saved)

    def render(console: Console) -> None:
        what = "there was nothing to write" if applied is None else f"{number(applied.requests)} requests"
        _say(console, f"Migration {view.migration_id}, a run of {saved}, is {view.state}: {trouble or what}.")
        if found.paused_at is not None and found.pause_reason:
            _say(console, f"It is paused: {found.pause_reason}. Then: myi migrate-playlist resume {key} {saved}")
        if view.in_doubt:
            _say(
                console,
                f"{number(view.in_doubt)} entries await your decision: myi migrate-playlist review {key}"
                f" {view.migration_id}",
            )

    document = {"migration": view, "applied": applied, "saved": _document(found), "trouble": trouble}
    session.output.result(document, render)
    if view.state != "done":
        raise typer.Exit(1)


def pause_command(key: Key, saved: SavedArgument, as_json: JsonOption = False) -> None:
    """Stop daily runs until it is resumed."""
    from myi_pipeline.playlists.migration.saved import pause
    from myi_pipeline.providers.transport import utc_now

    _change(key, as_json, lambda connection, user_id: pause(connection, user_id=user_id, saved_id=saved, now=utc_now()))


def resume_command(key: Key, saved: SavedArgument, as_json: JsonOption = False) -> None:
    """Resume one that you paused or that paused automatically."""
    from myi_pipeline.playlists.migration.saved import resume
    from myi_pipeline.providers.transport import utc_now

    _change(
        key, as_json, lambda connection, user_id: resume(connection, user_id=user_id, saved_id=saved, now=utc_now())
    )


def forget_command(key: Key, saved: SavedArgument, as_json: JsonOption = False) -> None:
    """Stop keeping it in sync. The entries of the playlist stay."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.migration.saved import forget
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        forget(connection, user_id=get_user(connection, user_key=key).user_id, saved_id=saved)
    text = f"{saved} is no longer kept in sync. The entries of the playlist stay."
    session.output.result({"forgotten": saved}, lambda console: _say(console, text))


def _change(key: str, as_json: bool, change: Callable[[Connection, int], SavedView]) -> None:
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        found = change(connection, get_user(connection, user_key=key).user_id)
    text = (
        f"{found.saved_id}: “{found.source_name}” to “{found.target_name}” at {found.account_title} is {_how(found)}."
    )
    session.output.result({"saved": _document(found)}, lambda console: _say(console, text))


def _how(found: SavedView) -> str:
    if found.paused_at is not None:
        return "paused"
    how = "made equal" if found.is_equal else "added to"
    return f"{how} daily, once the source has changed" if found.is_daily else f"{how} when you repeat it"


def _row(each: SavedView) -> tuple[str, ...]:
    from myi_pipeline.providers.transport import utc_now

    return (
        str(each.saved_id), each.source_name, f"{each.target_name}, {each.account_title}", _how(each), each.state,
        number(each.in_doubt), moment(each.next_at) if each.next_at is not None else "",
        f"{each.last_id} {each.last_state}" if each.last_id is not None else "", each.waits_for(utc_now()) or "",
    )  # fmt: skip


def _document(found: SavedView) -> dict[str, object]:
    from myi_pipeline.providers.transport import utc_now

    return {**vars(found), "state": found.state, "next_at": found.next_at, "waits_for": found.waits_for(utc_now())}


def _say(console: Console, text: str) -> None:
    """Prints one line. Names come from services, so control characters in them are neutralised."""
    console.print(Text(plain(text)), soft_wrap=True)
