"""`myi migrate-playlist`: moving playlists to another service, in steps that can be interrupted and resumed."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from myi_pipeline.cli import saved_migrations
from myi_pipeline.cli.output import counted, moment, number, plain, table
from myi_pipeline.cli.session import JsonOption, WrongUsage, open_session, warehouse
from myi_pipeline.cli.users import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from myi_pipeline.cli.session import Session
    from myi_pipeline.errors import RateLimited
    from myi_pipeline.playlists.migration.item_rows import Matched, Tally
    from myi_pipeline.playlists.migration.store import Migration

app = typer.Typer(
    help="Move a playlist to another service: plan, review, apply.", no_args_is_help=True, rich_markup_mode=None
)
saved_migrations.add_commands(app)

MigrationArgument = Annotated[int, typer.Argument(metavar="MIGRATION", help="Its id in `myi migrate-playlist status`.")]


@app.command("plan")
def plan_command(
    key: Key,
    playlist: Annotated[int, typer.Argument(metavar="PLAYLIST", help="Its id in `myi playlists list`.")],
    account: Annotated[
        int | None,
        typer.Option("--account", metavar="N", help="The account to move to; not needed if only one is linked."),
    ] = None,
    into: Annotated[
        str | None, typer.Option("--into", metavar="ID", help="An existing playlist there; default: a new one.")
    ] = None,
    equal: Annotated[
        bool, typer.Option("--equal", help="Make the existing playlist equal; default: append to it.")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the new playlist (default: the source's name)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look up each track of a playlist at the other service. Nothing is written there."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.migration import item_rows, moving, store
    from myi_pipeline.playlists.migration.moving import PlanPutOff
    from myi_pipeline.playlists.migration.targets import account_for, open_target
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.transport import utc_now

    if equal and into is None:
        raise WrongUsage("--equal needs --into: a new playlist is empty")
    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=key).user_id
        found = account_for(connection, user_id=user_id, account_id=account)
        with open_target(session.settings, opened, found) as target:
            try:
                planned = moving.plan(
                    connection, target, user_id=user_id, playlist_id=playlist, into=into, is_equal=equal, name=name,
                    clock=utc_now, sleep=time.sleep,
                )  # fmt: skip
            except PlanPutOff as error:
                found_yet = store.get_migration(connection, user_id=user_id, migration_id=error.migration_id)
                _say_put_off(session, key, found_yet, error)
            made = planned.migration_id
            migration = store.get_migration(connection, user_id=user_id, migration_id=made)
            preview = moving.preview(connection, target, migration)
            days = None
            if target.forecast is not None and not preview.impossible:
                days = target.forecast(lookups=0, writes=preview.requests + (into is None))
        tally = item_rows.tally_of(connection, migration_id=made)

    def render(console: Console) -> None:
        _say(console, f"Migration {made}: “{migration.target_name}” at {found.title}.")
        _say(console, _sum(tally))
        if planned.note:
            _say(console, f"Some tracks may exist there anyway: {planned.note}.")
        if preview.impossible:
            _say(console, f"It cannot be applied: {preview.impossible}.")
            return
        _say(
            console,
            f"Would add {number(preview.additions)}, move {number(preview.moves)} and remove "
            f"{number(preview.removals)} entries in {counted(preview.requests, 'request')}.",
        )
        if days is not None:
            _say(console, f"It {'is ' if days.sentence().startswith('done') else ''}{days.sentence()}.")
        _say(console, f"Review it: myi migrate-playlist review {key} {made}")
        _say(console, f"Apply it: myi migrate-playlist apply {key} {made}")

    counts = _outcomes(tally)
    document = {
        "migration": migration, "counts": counts, "preview": preview, "note": planned.note,
        "ends_by": days.ends_by if days is not None else None,
    }  # fmt: skip
    session.output.result(document, render)


@app.command("review")
def review_command(
    key: Key,
    migration: MigrationArgument,
    entry: Annotated[
        int | None, typer.Option("--entry", metavar="N", min=1, help="Decide about this entry of the playlist.")
    ] = None,
    take: Annotated[
        str | None, typer.Option("--take", metavar="URI", help="It is this track: a URI, or the number of a candidate.")
    ] = None,
    never: Annotated[str | None, typer.Option("--never", metavar="URI", help="It is not this track.")] = None,
    unavailable: Annotated[bool, typer.Option("--unavailable", help="The service does not have it.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Undo the decision about this entry's track.")] = False,
    all_entries: Annotated[bool, typer.Option("--all", help="Also show matched entries.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show ambiguous or missing entries with their candidates, or decide about one entry. Decisions are kept."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.migration import deciding, item_rows, store
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.transport import utc_now

    said = [(kind, uri) for kind, uri in (("is", take), ("never", never)) if uri is not None]
    said += [("unavailable", "")] if unavailable else []
    said += [("undo", "")] if undo else []
    if bool(said) != (entry is not None) or len(said) > 1:
        raise WrongUsage("a decision needs --entry and one of --take, --never, --unavailable and --undo")
    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=key).user_id
        found = store.get_migration(connection, user_id=user_id, migration_id=migration)
        if entry is not None:
            kind, uri = said[0]
            if kind == "undo":
                deciding.take_back(connection, migration=found, position=entry - 1, now=utc_now())
            else:
                matches = item_rows.list_matches(connection, migration_id=migration)
                deciding.decide(
                    connection, migration=found, position=entry - 1, kind=kind,
                    uri=_candidate(matches, entry - 1, uri), now=utc_now(),
                )  # fmt: skip
        matches = item_rows.list_matches(connection, migration_id=migration)
        tally = item_rows.tally_of(connection, migration_id=migration)
    shown = [each for each in matches if all_entries or each.outcome != "matched"]

    def render(console: Console) -> None:
        _say(console, _sum(tally))
        for each in shown:
            names = f"{each.title} by {', '.join(each.artists)}"
            _say(console, f"{each.position + 1}. {names}: {each.outcome} ({each.reason})")
            for place, candidate in enumerate(each.candidates, 1):
                names = f"{candidate['title']} by {', '.join(candidate['artists'])}"
                told = f"{candidate['score']:.2f}, {candidate['kinship']}, {candidate['uri']}"
                _say(console, f"    {place}) {names}: {told}")

    session.output.result({"migration": found, "entries": shown}, render)


def _candidate(matches: Sequence[Matched], position: int, told: str) -> str:
    """A URI, or that of the candidate with this number."""
    # Longer numbers are bare track ids, and are refused as such.
    if not (told.isascii() and told.isdigit() and len(told) < 4):
        return told
    for each in matches:
        if each.position == position and 0 < int(told) <= len(each.candidates):
            return str(each.candidates[int(told) - 1]["uri"])
    raise WrongUsage(f"entry {position + 1} has no candidate {told}")


@app.command("apply")
def apply_command(key: Key, migration: MigrationArgument, as_json: JsonOption = False) -> None:
    """Write what is left and read it back. Can be interrupted and repeated: nothing is added twice."""
    from myi_pipeline.errors import RateLimited
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.migration import item_rows, job_orders, moving, store
    from myi_pipeline.playlists.migration.targets import account_for, open_target
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=key).user_id
        found = store.get_migration(connection, user_id=user_id, migration_id=migration)
        account = account_for(connection, user_id=user_id, account_id=found.target_account_id)
        with open_target(session.settings, opened, account) as target:
            try:
                if found.state == "ordered":
                    moving.go_on_planning(connection, target, found, clock=utc_now, sleep=time.sleep)
                    found = store.get_migration(connection, user_id=user_id, migration_id=migration)
                    if found.is_equal:
                        # Removals must be shown before they are applied.
                        _say_planned(session, key, found)
                applied = moving.run(connection, target, found, clock=utc_now, sleep=time.sleep)
            except RateLimited as error:
                job_orders.order_apply(connection, found, now=utc_now(), due_at=error.retry_at, reason=str(error))
                found = store.get_migration(connection, user_id=user_id, migration_id=migration)
                _say_put_off(session, key, found, error)
        found = store.get_migration(connection, user_id=user_id, migration_id=migration)
        tally = item_rows.tally_of(connection, migration_id=migration)

    def render(console: Console) -> None:
        _say(console, f"Migration {migration} is {found.state}: {counted(applied.requests, 'request')}.")
        _say(console, _sum(tally))
        if found.state == "done" and not applied.is_done:
            _say(
                console, "The playlist has been changed since then; nothing was written. To move it again, plan again."
            )
            return
        if lacking := len(applied.lacking):
            by = account.provider.label
            was = f"entry was accepted by {by} but does" if lacking == 1 else f"entries were accepted by {by} but do"
            _say(console, f"{number(lacking)} {was} not show up on the playlist.")
        if applied.left:
            did = "change was" if applied.left == 1 else "changes were"
            _say(
                console,
                f"{number(applied.left)} {did} not made by {account.provider.label}, and would still be needed.",
            )

    session.output.result({"migration": found, "applied": applied, "counts": _outcomes(tally)}, render)
    if found.state != "done":
        raise typer.Exit(1)


@app.command("status")
def status_command(
    key: Key,
    migration: Annotated[int | None, typer.Argument(metavar="[MIGRATION]", help="Only this one; default: all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List migrations, their progress, and the results of their entries."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.migration import item_rows, journal, store
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=key).user_id
        found = store.list_migrations(connection, user_id=user_id, migration_id=migration)
        if migration is not None and not found:
            store.get_migration(connection, user_id=user_id, migration_id=migration)
        told = [
            (
                each, item_rows.tally_of(connection, migration_id=each.migration_id),
                item_rows.list_matches(connection, migration_id=each.migration_id, in_doubt=True),
                journal.requests_of(connection, migration_id=each.migration_id),
            )
            for each in found
        ]  # fmt: skip

    def render(console: Console) -> None:
        if not told:
            _say(console, f"No migrations yet. Start with: myi migrate-playlist plan {key} PLAYLIST")
            return
        rows = (
            (each.migration_id, each.target_name, each.provider, each.state, _sum(tally), number(requests),
             moment(each.created_at), each.last_error or "")
            for each, tally, _, requests in told
        )  # fmt: skip
        columns = (">migration", "playlist", "to", "state", "entries", ">requests", "planned (UTC)", "")
        console.print(table(None, columns, rows))

    document = [
        {
            "migration": each, "requests": requests, "counts": _outcomes(tally),
            "refused": [one.position + 1 for one in doubtful if one.is_refused],
        }
        for each, tally, doubtful, requests in told
    ]  # fmt: skip
    session.output.result({"migrations": document}, render)


@app.command("report")
def report_command(
    key: Key,
    migration: MigrationArgument,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="csv or json.")] = "csv",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="PATH", help="A file; default: standard output.")
    ] = None,
) -> None:
    """Write each entry's result and reason: matched by ISRC, score or decision; ambiguous, missing, unavailable."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.migration import item_rows, report, store
    from myi_pipeline.postgres.connections import Role

    writers = {"csv": report.as_csv, "json": report.as_json}
    if form not in writers:
        raise WrongUsage(f"--format must be csv or json, not {form[:40]!r}")
    session = open_session(as_json=False)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=key).user_id
        found = store.get_migration(connection, user_id=user_id, migration_id=migration)
        made = report.report_of(found, item_rows.list_matches(connection, migration_id=migration))
    told = writers[form](made)
    if output is None:
        sys.stdout.buffer.write(told)
        sys.stdout.buffer.flush()
        return
    try:
        output.write_bytes(told)
    except OSError as error:
        raise WrongUsage(f"{output} cannot be written: {error.strerror}") from None
    count = len(made.entries)
    session.output.note(f"{number(count)} {'entry' if count == 1 else 'entries'} written to {output}")


@app.command("cancel")
def cancel_command(key: Key, migration: MigrationArgument, as_json: JsonOption = False) -> None:
    """Cancel a migration. What has been written stays."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.migration import orders, store
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=key).user_id
        store.get_migration(connection, user_id=user_id, migration_id=migration)
        view = orders.order_cancel(connection, user_id=user_id, migration_id=migration, now=utc_now())
        found = store.get_migration(connection, user_id=user_id, migration_id=migration)
    text = f"Migration {migration} is cancelled. What has been written stays."
    if view.is_being_cancelled:
        text = f"Migration {migration} is being written: it stops before its next write. What has been written stays."
    session.output.result({"migration": found}, lambda console: _say(console, text))


def _say_put_off(session: Session, key: str, migration: Migration, error: RateLimited) -> NoReturn:
    """Reports that a quota is used up: nothing has failed, and nothing is lost."""
    number_of = migration.migration_id
    what = "looking for its tracks" if migration.state == "ordered" else "being written"
    document = {"migration": migration, "goes_on_at": error.retry_at, "reason": str(error)}

    def render(console: Console) -> None:
        _say(console, f"Migration {number_of} is waiting while {what}: {str(error).rstrip('.')}.")
        _say(
            console,
            f"While `myi up` runs, it continues automatically at {error.retry_at:%Y-%m-%d %H:%M} UTC; otherwise run:"
            f" myi migrate-playlist apply {key} {number_of}",
        )

    session.output.result(document, render)
    raise typer.Exit(1)


def _say_planned(session: Session, key: str, migration: Migration) -> NoReturn:
    number_of = migration.migration_id
    session.output.result(
        {"migration": migration},
        lambda console: _say(
            console,
            f"Migration {number_of} is planned and may remove entries: review it with `myi migrate-playlist review"
            f" {key} {number_of}`, then apply it again.",
        ),
    )
    raise typer.Exit(0)


def _say(console: Console, text: str) -> None:
    """Prints one line. Names come from services, so control characters in them are neutralised."""
    console.print(Text(plain(text)), soft_wrap=True)


def _outcomes(tally: Sequence[Tally]) -> Counter[str]:
    counts = Counter[str]()
    for each in tally:
        counts[each.outcome] += each.entries
    return counts


def _sum(tally: Sequence[Tally]) -> str:
    counts = Counter[str]()
    for each in tally:
        counts["decided" if each.is_decided else each.outcome] += each.entries
    refused = sum(each.entries for each in tally if each.is_refused)
    parts = [f"{number(count)} {name}" for name, count in sorted(counts.items())]
    return ", ".join([*parts, *([f"{number(refused)} refused"] if refused else [])]) or "no entries"
