"""`myi providers`: users' linked accounts at services with playlists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from myi_pipeline.cli.login import sign_in_at_spotify
from myi_pipeline.cli.output import moment, plain, table
from myi_pipeline.cli.session import JsonOption, Session, UserFilter, WrongUsage, open_session, warehouse
from myi_pipeline.cli.users import Key
from myi_pipeline.errors import BadInput

if TYPE_CHECKING:
    from myi_pipeline.people.account_links import PendingLink

app = typer.Typer(
    help="List, link and unlink accounts at services with playlists.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_SIGN_INS = ("tidal", "youtube_music")
_WAIT_S = 300.0
ProviderArgument = Annotated[str, typer.Argument(metavar="SERVICE", help="spotify, tidal, deezer or youtube_music.")]


@app.command("list")
def list_command(user: UserFilter = None, as_json: JsonOption = False) -> None:
    """List linked accounts, and why the playlists of some are not read."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.gather_users import trouble_of
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.accounts import list_accounts

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=user).user_id if user is not None else None
        found = [(each, trouble_of(each)) for each in list_accounts(connection, user_id=user_id)]

    def render(console: Console) -> None:
        if not found:
            console.print("No account is linked. Link one with: myi providers link KEY spotify --playlists")
            return
        rows = (
            (
                each.account_id,
                each.user_key,
                each.provider.label,
                each.name,
                "paused" if each.paused_at is not None else each.state,
                "yes" if each.is_main else "",
                moment(each.linked_at),
                trouble or "playlists are read",
            )
            for each, trouble in found
        )
        columns = (">account", "user", "service", "name", "state", "polled", "linked (UTC)", "playlists")
        console.print(table(None, columns, rows))

    session.output.result({"accounts": [{"account": each, "trouble": trouble} for each, trouble in found]}, render)


@app.command("link")
def link_command(
    key: Key,
    provider: ProviderArgument,
    playlists: Annotated[
        bool, typer.Option("--playlists", help="Spotify only: also ask for permission to read playlists.")
    ] = False,
    further: Annotated[
        bool,
        typer.Option(
            "--further", help="Spotify only: link another account for its playlists; the main one is still polled."
        ),
    ] = False,
    account: Annotated[
        str | None, typer.Option("--account", metavar="NUMBER", help="Deezer only: the number in the profile URL.")
    ] = None,
    browser: Annotated[
        bool,
        typer.Option("--browser/--no-browser", help="Open a browser here, or paste the address you are redirected to."),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Link a user's account.

    For Spotify, except with --further, this is the same as `myi user login`; Deezer needs --account.
    """
    if provider not in (*_SIGN_INS, "deezer", "spotify"):
        raise WrongUsage(f"{provider[:40]} cannot be linked; choose spotify, tidal, deezer or youtube_music")
    if (account is not None) != (provider == "deezer"):
        raise WrongUsage("--account NUMBER is required for Deezer and not allowed for other services")
    if playlists and provider != "spotify":
        raise WrongUsage("--playlists is only for Spotify: the other services are always asked for playlists")
    if further and provider != "spotify":
        raise WrongUsage("--further is only for Spotify: accounts of the other services are always for playlists")
    if provider != "spotify":
        _link(key, provider, account=account, browser=browser, as_json=as_json)
        return
    sign_in_at_spotify(key, browser=browser, playlists=playlists, further=further, as_json=as_json)


@app.command("main")
def main_command(
    account: Annotated[int, typer.Argument(metavar="ACCOUNT", help="The account's id in `myi providers list`.")],
    as_json: JsonOption = False,
) -> None:
    """Poll this Spotify account from now on. The formerly polled one stays linked for its playlists."""
    from myi_pipeline.people.logins import poll_account
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.accounts import find_account
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        found = find_account(connection, account_id=account)
        if found is None or found.state == "ended":
            raise BadInput(f"no account {account} is linked: see `myi providers list`", place="account")
        poll_account(connection, user_id=found.user_id, account_id=account, now=utc_now())
    text = f"{found.user_key}'s {found.title} is polled from now on."
    document = {"account_id": account, "user_key": found.user_key, "provider": found.provider.value}
    session.output.result(document, lambda console: console.print(Text(plain(text)), soft_wrap=True))


@app.command("unlink")
def unlink_command(
    account: Annotated[int, typer.Argument(metavar="ACCOUNT", help="The account's id in `myi providers list`.")],
    as_json: JsonOption = False,
) -> None:
    """Unlink an account and delete its login at once; if it is the polled Spotify account, polling stops.

    Everything that was read stays.
    """
    from myi_pipeline.people.account_links import unlink
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.accounts import find_account
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        found = find_account(connection, account_id=account)
        if found is None or found.state == "ended":
            raise BadInput(f"no account {account} is linked: see `myi providers list`", place="account")
        unlink(connection, user_id=found.user_id, account_id=account, now=utc_now())
    text = f"{found.user_key}'s {found.title} is no longer linked. What was read stays."
    document = {"account_id": account, "user_key": found.user_key, "provider": found.provider.value}
    session.output.result(document, lambda console: console.print(Text(plain(text)), soft_wrap=True))


def _link(key: str, provider: str, *, account: str | None, browser: bool, as_json: bool) -> None:
    from myi_pipeline.people.account_links import begin_link, finish_link, link_deezer
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.accounts import Provider
    from myi_pipeline.providers.open_playlist_services import open_playlist_services
    from myi_pipeline.providers.transport import utc_now

    session = open_session(as_json=as_json)
    with (
        warehouse(session) as opened,
        opened.connect(Role.INGEST, autocommit=True) as connection,
        open_playlist_services(session.settings, opened) as services,
    ):
        user_id = get_user(connection, user_key=key).user_id
        if account is not None:
            made = link_deezer(services, connection, user_id=user_id, number=account, now=utc_now())
        else:
            redirect_uri = session.settings.providers_redirect_uri
            pending = begin_link(services, provider=Provider(provider), redirect_uri=redirect_uri)
            for scope in services.sign_in(pending.provider).terms.scopes:
                session.output.note(f"{scope.name}: {scope.reason}")
            redirected = _answer(session, pending, browser=browser)
            made = finish_link(
                services, connection, pending, user_id=user_id, redirected=redirected, now=utc_now()
            )  # fmt: skip
    lines = [f"{key}'s {made.provider.label} account {made.name or ''}".rstrip() + " is linked."]
    lines += [f"Permission not granted: {scope.name}; therefore {scope.without}." for scope in made.denied]
    lines += [made.note] if made.note else []
    document = {
        "account_id": made.account_id,
        "user_key": key,
        "provider": made.provider.value,
        "name": made.name,
        "denied": [scope.name for scope in made.denied],
    }

    def render(console: Console) -> None:
        for line in lines:
            console.print(Text(plain(line)), soft_wrap=True)

    session.output.result(document, render)


def _answer(session: Session, pending: PendingLink, *, browser: bool) -> str:
    """The address that the service redirected the browser to: received on this machine, or pasted."""
    import sys
    import webbrowser

    from myi_pipeline.providers.pkce import belongs_to
    from myi_pipeline.providers.spotify.loopback import is_loopback, listening

    service, redirect_uri = pending.provider.label, pending.redirect_uri
    if browser and is_loopback(redirect_uri):
        with listening(
            redirect_uri,
            is_answer=lambda address: belongs_to(address, pending.challenge),
            service=service,
            setting="MYI_PROVIDERS_REDIRECT_URI",
        ) as listener:
            if webbrowser.open(pending.url):
                session.output.note(
                    f"Your browser asks you to sign in at {service}. If it shows nothing, open this address on this"
                    " machine:",
                    pending.url,
                )
                return listener.wait(_WAIT_S)
    session.output.note(
        "Open this address in any browser, sign in and agree:",
        pending.url,
        f"The browser then goes to {redirect_uri}?code=... and may say that it cannot be reached; that is expected."
        " Copy that whole address.",
    )
    sys.stderr.write("Address: ")
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise WrongUsage("no address on standard input")
    return line
