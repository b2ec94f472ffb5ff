"""`myi playlists list`, `show`, `history`, `gather` and `remove`: the playlists of users and their history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from myi_pipeline.cli.output import moment, number, plain, table
from myi_pipeline.cli.session import JsonOption, UserFilter, open_session, warehouse
from myi_pipeline.cli.users import Key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from myi_pipeline.playlists.gathering import GatherResult
    from myi_pipeline.playlists.kept import KeptPlaylist

PlaylistArgument = Annotated[int, typer.Argument(metavar="PLAYLIST", help="The playlist's id in `myi playlists list`.")]
VersionOption = Annotated[
    int | None, typer.Option("--version", metavar="N", min=1, help="An earlier version; the latest by default.")
]


def list_command(key: Key, as_json: JsonOption = False) -> None:
    """List a user's playlists as last read."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.kept import list_playlists
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        found = list_playlists(connection, user_id=get_user(connection, user_key=key).user_id)

    def render(console: Console) -> None:
        if not found:
            console.print(f"No playlists yet. Read them with: myi playlists gather --user {key}")
            return
        rows = (
            (
                each.playlist_id,
                each.name,
                _origin(each, found),
                each.owner_name,
                each.state,
                number(each.items) if each.items is not None else "",
                number(each.versions),
                moment(each.changed_at),
            )
            for each in found
        )
        columns = (">playlist", "name", "from", "owner", "state", ">entries", ">versions", "changed (UTC)")
        console.print(table(None, columns, rows))

    session.output.result({"playlists": found}, render)


def _origin(playlist: KeptPlaylist, all_of_them: Iterable[KeptPlaylist]) -> str:
    """The account too where one service has several: each has its liked songs."""
    if playlist.is_made:
        return "MYI"
    accounts = {each.account_id for each in all_of_them if each.provider == playlist.provider}
    if playlist.account_id is None or len(accounts) == 1:
        return playlist.provider
    from myi_pipeline.providers.accounts import Provider

    return f"{Provider(playlist.provider).label}: {playlist.account_name or f'account {playlist.account_id}'}"


def show_command(
    key: Key, playlist: PlaylistArgument, version: VersionOption = None, as_json: JsonOption = False
) -> None:
    """Show the entries of a playlist, in order."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.kept import list_entries
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=key).user_id
        found = list_entries(connection, user_id=user_id, playlist_id=playlist, version_no=version)

    def render(console: Console) -> None:
        rows = (
            (number(each.position + 1), each.title, each.artist, each.album, each.kind, moment(each.added_at))
            for each in found
        )
        console.print(table(None, (">", "title", "artist", "album", "kind", "added (UTC)"), rows))

    session.output.result({"entries": found}, render)


def history_command(key: Key, playlist: PlaylistArgument, as_json: JsonOption = False) -> None:
    """Show the versions of a playlist, newest first. The mart fct_playlist_changes has what changed."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.kept import list_versions
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=key).user_id
        found = list_versions(connection, user_id=user_id, playlist_id=playlist)

    def render(console: Console) -> None:
        rows = (
            (
                number(each.version_no),
                moment(each.seen_at),
                each.name,
                each.state,
                number(each.items) if each.items is not None else "",
            )
            for each in found
        )
        console.print(table(None, (">version", "seen (UTC)", "name", "state", ">entries"), rows))

    session.output.result({"versions": found}, render)


def gather_command(
    user: UserFilter = None,
    force: Annotated[
        bool, typer.Option("--force", help="Read now, due or not. Never overrides a limit that a service set.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read changed playlists of all linked accounts or of one user. `myi up` does this automatically."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.gather_users import gather_users, trouble_of
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.accounts import list_accounts

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        with opened.connect(Role.INGEST, autocommit=True) as connection:
            user_id = get_user(connection, user_key=user).user_id if user is not None else None
            linked = list_accounts(connection, user_id=user_id)
        results = gather_users(
            session.settings,
            opened,
            user_keys=None if user is None else [user],
            # Naming a user means wanting it now.
            force=force or user is not None,
            correlation_id=session.settings.correlation_id,
        )
    troubles = [f"{each.user_key}: {trouble}" for each in linked if (trouble := trouble_of(each)) is not None]

    def render(console: Console) -> None:
        if results:
            _render(console, results)
        elif not linked:
            console.print("No account is linked. Sign in to Spotify with: myi user login KEY --playlists")
        elif not troubles:
            console.print("Nothing is due. To read now: myi playlists gather --force")
        for trouble in troubles:
            console.print(Text(plain(f"{trouble}.")), soft_wrap=True)

    session.output.result({"gatherings": results, "not_gathered": troubles}, render)
    if any(each.outcome in ("failed", "partly") for each in results) or (user is not None and not results):
        raise typer.Exit(1)


def remove_command(
    playlist: PlaylistArgument,
    user: Annotated[
        str | None, typer.Option("--user", metavar="KEY", help="Only if it is this user's; default: whoever has it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a playlist from a file, or one that MYI made. Its history stays, and importing it again undoes this."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.kept import owner_of
    from myi_pipeline.playlists.removing import remove_list
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        if user is not None:
            user_id = get_user(connection, user_key=user).user_id
        else:
            user_id = owner_of(connection, playlist_id=playlist)
        was_there = remove_list(connection, user_id=user_id, playlist_id=playlist, now=utc_now())
    said = (
        f"Playlist {playlist} is removed; its history stays. Bring the marts up to date with: myi refresh"
        if was_there
        else f"Playlist {playlist} was removed before."
    )
    session.output.result(
        {"removed": {"playlist_id": playlist, "is_new": was_there}}, lambda console: console.print(said)
    )


def _render(console: Console, results: tuple[GatherResult, ...]) -> None:
    rows = (
        (
            each.user_key,
            each.account,
            each.outcome,
            number(each.lists_seen),
            number(each.lists_read),
            number(each.unchanged),
            number(each.unreadable),
            number(each.failed),
            number(each.gone),
            number(each.new_versions),
            each.reason,
        )
        for each in results
    )
    columns = (
        "user", "account", "outcome", ">lists", ">read", ">unchanged", ">unreadable", ">failed", ">gone",
        ">new versions", "",
    )  # fmt: skip
    console.print(table(None, columns, rows))
    if any(each.new_versions for each in results):
        console.print("Bring the marts up to date with: myi refresh")


def add_commands(app: typer.Typer) -> None:
    """Adds the commands to the group `playlists`."""
    app.command("list")(list_command)
    app.command("show")(show_command)
    app.command("history")(history_command)
    app.command("gather")(gather_command)
    app.command("remove")(remove_command)
