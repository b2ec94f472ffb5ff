"""`myi user login`, `logins`, `pause`, `resume` and `disconnect`: a user's connection to Spotify.

The steps of a sign-in are in people/logins. Neither the code nor a token is shown or logged.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import day, moment, table
from myi_pipeline.cli.session import JsonOption, Session, WrongUsage, open_session, warehouse
from myi_pipeline.cli.users import Key
from myi_pipeline.errors import BadInput, UnknownUser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from myi_pipeline.people.logins import PendingLogin, SignedIn
    from myi_pipeline.postgres.connections import Connection, Warehouse

# Enough time to find a password and to add a user to the app's list.
_WAIT_S = 600.0
_PASTES = 3
_ASK_EVERY_S = 0.5


def login_command(
    key: Key,
    client_id: Annotated[
        str | None,
        typer.Option("--client-id", metavar="ID", help="The user's own app; default: MYI_SPOTIFY_CLIENT_ID."),
    ] = None,
    browser: Annotated[
        bool,
        typer.Option("--browser/--no-browser", help="Open a browser here, or paste the address you are redirected to."),
    ] = True,
    create: Annotated[bool, typer.Option("--create", help="Add the user if the key is new.")] = False,
    ask_again: Annotated[
        bool, typer.Option("--ask-again", help="Have Spotify ask for every permission again.")
    ] = False,
    playlists: Annotated[
        bool, typer.Option("--playlists", help="Also ask for permission to read playlists; later sign-ins keep it.")
    ] = False,
    playlist_writes: Annotated[
        bool, typer.Option("--playlist-writes", help="Also ask for permission to move playlists to Spotify.")
    ] = False,
    switch_account: Annotated[
        bool, typer.Option("--switch-account", help="Do not ask before switching to another Spotify account.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Sign a user in to Spotify: opens a browser or, with --no-browser, takes the address you are redirected to."""
    sign_in_at_spotify(
        key,
        client_id=client_id,
        browser=browser,
        create=create,
        ask_again=ask_again,
        playlists=playlists,
        playlist_writes=playlist_writes,
        switch_account=switch_account,
        as_json=as_json,
    )


def sign_in_at_spotify(
    key: str,
    *,
    client_id: str | None = None,
    browser: bool = True,
    create: bool = False,
    ask_again: bool = False,
    playlists: bool = False,
    playlist_writes: bool = False,
    switch_account: bool = False,
    further: bool = False,
    as_json: bool = False,
) -> None:
    """Signs in the polled account, or (`further`) another one for its playlists."""
    from myi_pipeline.people.logins import begin_login, finish_login, wants_playlists, wants_writes
    from myi_pipeline.providers.login_owners import LoginUse
    from myi_pipeline.providers.spotify.open_spotify import open_spotify
    from myi_pipeline.providers.token_vault import find_credential
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    with _connected(session) as (opened, connection), open_spotify(session.settings, opened) as spotify:
        user_id = _user_id(session, connection, key, create=create)
        known = find_credential(connection, user_id=user_id)
        with_playlists = playlists or further or (known is not None and wants_playlists(known))
        with_writes = playlist_writes or (known is not None and wants_writes(known))
        pending = begin_login(
            spotify,
            session.settings,
            user_id=user_id,
            user_key=key,
            client_id=client_id,
            # A person signed in at Spotify with the first account can then choose another one.
            ask_again=ask_again or further,
            with_playlists=with_playlists,
            with_writes=with_writes,
            use=LoginUse.FURTHER if further else LoginUse.MAIN,
        )
        _explain(session, with_playlists=with_playlists, with_writes=with_writes)
        redirected = _by_browser(session, opened, pending) if browser else None
        if redirected is None:
            redirected = _by_pasting(session, pending)
        made = finish_login(
            spotify,
            connection,
            pending,
            redirected=redirected,
            now=utc_now(),
            may_switch=lambda: switch_account or _wants_to_switch(session, key),
        )
    session.output.result(made, lambda console: _render(console, made))


def logins_command(as_json: JsonOption = False) -> None:
    """List who is signed in to Spotify, with permissions and expiry."""
    from myi_pipeline.people.logins import list_logins
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    with _connected(session) as (_, connection):
        logins = list_logins(connection, now=utc_now())

    def render(console: Console) -> None:
        if not logins:
            console.print("Nobody is signed in. Sign in with: myi user login KEY")
            return
        rows = (
            (
                login.user_key,
                login.account_id,
                "polled" if login.is_main else "playlists",
                login.state,
                ", ".join(login.allowed),
                day(login.ends_at),
                login.days_left,
                moment(login.refreshed_at),
                login.last_error,
            )
            for login in logins
        )
        columns = ("user", ">account", "for", "state", "allows", "ends", ">days left", "last refresh", "last refusal")
        console.print(table(None, columns, rows))

    session.output.result({"logins": logins}, render)


def pause_command(key: Key, as_json: JsonOption = False) -> None:
    """Stop polling Spotify for a user until `myi user resume`."""
    from myi_pipeline.people.logins import pause_user
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    with _connected(session) as (_, connection):
        pause_user(connection, user_key=key, now=utc_now())
    _say(session, {"user_key": key, "paused": True}, f"User {key} is paused; plays during the pause may be missing.")


def resume_command(key: Key, as_json: JsonOption = False) -> None:
    """Resume polling after `myi user pause`."""
    from myi_pipeline.people.logins import resume_user

    session = open_session(as_json=as_json)
    with _connected(session) as (_, connection):
        resume_user(connection, user_key=key)
    _say(session, {"user_key": key, "paused": False}, f"User {key} is polled again.")


def disconnect_command(key: Key, as_json: JsonOption = False) -> None:
    """Delete a user's login at once. Collected data and further accounts stay."""
    from myi_pipeline.people.logins import disconnect_user

    session = open_session(as_json=as_json)
    with _connected(session) as (_, connection):
        found = disconnect_user(connection, user_key=key)
    text = (
        f"The login of {key} is deleted. To take MYI off the Spotify account too: https://www.spotify.com/account/apps"
        if found
        else f"User {key} was not signed in."
    )
    _say(session, {"user_key": key, "was_signed_in": found}, text)


def _say(session: Session, document: dict[str, object], text: str) -> None:
    session.output.result(document, lambda console: console.print(text, soft_wrap=True))


@contextmanager
def _connected(session: Session) -> Iterator[tuple[Warehouse, Connection]]:
    from myi_pipeline.postgres.connections import Role

    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        yield opened, connection


def _user_id(session: Session, connection: Connection, key: str, *, create: bool) -> int:
    from myi_pipeline.people import manage_users

    try:
        return manage_users.get_user(connection, user_key=key).user_id
    except UnknownUser:
        if not create:
            raise
    zone = session.settings.new_user_time_zone
    return manage_users.add_user(connection, user_key=key, time_zone=zone).user_id


def _wants_to_switch(session: Session, key: str) -> bool:
    """Asks the person at the terminal; False if there is none."""
    if session.output.as_json or not sys.stdin.isatty():
        return False
    question = (
        f"{key} is signed in with another Spotify account. Poll the new account from now on? Plays from both"
        f" accounts will count as {key}'s."
    )
    return typer.confirm(question, err=True)


def _explain(session: Session, *, with_playlists: bool, with_writes: bool) -> None:
    from myi_pipeline.providers.login_terms import scopes_to_ask

    for_what = "to read, and to change playlists when you move one" if with_writes else "all of them for reading"
    session.output.note(f"MYI asks Spotify for these permissions, {for_what}:")
    for scope in scopes_to_ask(with_playlists=with_playlists, with_writes=with_writes):
        session.output.note(f"  {scope.name}: {scope.reason}")


def _by_browser(session: Session, opened: Warehouse, pending: PendingLogin) -> str | None:
    """The redirected address, or None if a browser cannot be redirected to this machine."""
    from myi_pipeline.people.sign_in import is_served_here
    from myi_pipeline.providers.pkce import belongs_to
    from myi_pipeline.providers.spotify.loopback import is_loopback, listening

    if is_served_here(pending.redirect_uri):
        return _by_site(session, opened, pending)
    if not is_loopback(pending.redirect_uri):
        session.output.note(f"{pending.redirect_uri} is not on this machine, so the address has to be pasted.")
        return None
    with listening(pending.redirect_uri, is_answer=lambda address: belongs_to(address, pending.challenge)) as listener:
        return listener.wait(_WAIT_S) if _open_browser(session, pending) else None


def _by_site(session: Session, opened: Warehouse, pending: PendingLogin) -> str | None:
    """The answer as kept by the site, which listens at the redirect address."""
    from myi_pipeline.errors import Transient
    from myi_pipeline.people import sign_in
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.encryption_keys import require_keys

    keys = require_keys(session.settings, opened)
    with opened.connect(Role.APP, autocommit=True) as connection:
        sign_in.expect_answer(connection, pending.challenge, client_id=pending.client_id)
        if not _open_browser(session, pending):
            return None
        deadline = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline:
            answer = sign_in.collect_answer(connection, pending.challenge, keys=keys)
            if answer is not None:
                return answer
            time.sleep(_ASK_EVERY_S)
    raise Transient(f"nobody signed in within {_WAIT_S / 60:.0f} minutes; nothing was changed")


def _open_browser(session: Session, pending: PendingLogin) -> bool:
    import webbrowser

    try:
        is_open = webbrowser.open(pending.url)
    except webbrowser.Error:
        is_open = False
    if not is_open:
        session.output.note("No browser could be opened here.")
        return False
    session.output.note(
        "Your browser asks you to sign in. If it shows nothing, open this address on this machine:",
        pending.url,
        "If Spotify says `Invalid redirect URI` there, register exactly this in your app:"
        f" {pending.redirect_uri} (Ctrl-C stops waiting).",
    )
    return True


def _by_pasting(session: Session, pending: PendingLogin) -> str:
    from myi_pipeline.providers.pkce import LoginDenied, read_redirect

    session.output.note(
        "Open this address in any browser, sign in and agree:",
        pending.url,
        f"The browser then goes to {pending.redirect_uri.partition('?')[0]}?code=... and may say that it cannot be"
        " reached; that is expected. Copy that whole address.",
    )
    for left in reversed(range(_PASTES)):
        sys.stderr.write("Address: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise WrongUsage("no address on standard input")
        try:
            read_redirect(line, pending.challenge)
        except LoginDenied:
            raise
        except BadInput as error:
            if not left or not sys.stdin.isatty():
                raise
            session.output.note(str(error))
            continue
        return line
    raise AssertionError("the last attempt returns or raises")


def _render(console: Console, made: SignedIn) -> None:
    allowed = ", ".join(feature.value for feature in made.allowed) or "nothing"
    if made.is_main:
        console.print(f"User {made.user_key} is signed in for: {allowed}.", soft_wrap=True)
    else:
        console.print(
            f"Account {made.account_id} is linked for {made.user_key}'s playlists; it is not polled. To poll it"
            f" instead: myi providers main {made.account_id}",
            soft_wrap=True,
        )
    for scope in made.denied:
        console.print(f"Permission not granted: {scope.name}; therefore {scope.without}.", soft_wrap=True)
    if made.denied:
        command = "user login {} --ask-again" if made.is_main else "providers link {} spotify --further"
        console.print(f"To allow it: myi {command.format(made.user_key)}", soft_wrap=True)
    console.print(
        f"Spotify ends this sign-in on {made.ends_at:%Y-%m-%d}; MYI reminds you 30, 7 and 1 days before.",
        soft_wrap=True,
    )
