"""`myi keys`: the keys that seal stored logins."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import counted, number, table
from myi_pipeline.cli.session import JsonOption, open_session, warehouse

app = typer.Typer(
    help="List, add and rotate the keys that seal stored logins.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def show(as_json: JsonOption = False) -> None:
    """List the ids of the keys, their origin, and how many logins each seals. Never shows a key."""
    from myi_pipeline.providers.encryption_keys import key_uses

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        uses = key_uses(session.settings, opened)

    def render(console: Console) -> None:
        if not uses:
            console.print("No key yet: the first sign-in creates one.")
            return
        rows = ((use.key_id, use.origin, "yes" if use.seals_new else "", number(use.logins)) for use in uses)
        console.print(table(None, ("key", "from", "seals new logins", ">logins"), rows))

    session.output.result({"keys": uses}, render)


@app.command("new")
def new(
    show_it: Annotated[
        bool, typer.Option("--print", help="Print a key for MYI_ENCRYPTION_KEYS without changing anything.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a new key: before those in MYI_HOME/secrets, or with --print for MYI_ENCRYPTION_KEYS."""
    from myi_pipeline.providers.encryption_keys import new_key_text, put_new_key_into_file

    session = open_session(as_json=as_json)
    if show_it or session.settings.encryption_keys is not None:
        text = new_key_text()
        session.output.result({"key": text}, lambda _: _print_line(text))
        session.output.note("Put it first in MYI_ENCRYPTION_KEYS, followed by a comma; then run: myi keys rotate")
        return
    made = put_new_key_into_file(session.settings)
    session.output.result(
        {"key_id": made},
        lambda console: console.print(f"New logins are sealed with key {made}. Next, run: myi keys rotate"),
    )


@app.command("rotate")
def rotate(as_json: JsonOption = False) -> None:
    """Seal every stored login with the newest key. Can be interrupted and repeated at any time."""
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.encryption_keys import require_keys, rotate_keys

    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        keys = require_keys(session.settings, opened)
        with opened.connect(Role.INGEST, autocommit=True, application_name="myi keys") as connection:
            done = rotate_keys(connection, keys)

    def render(console: Console) -> None:
        console.print(f"{counted(done.sealed, 'login')} sealed again with key {done.key_id}.")
        console.print(table(None, ("key", ">logins"), ((key, number(count)) for key, count in done.remaining.items())))
        unused = [key for key, count in done.remaining.items() if not count and key != done.key_id]
        if unused:
            console.print(f"No longer needed: {', '.join(unused)}.")
        if done.failed:
            console.print(
                f"Logins that could not be opened and were left unchanged (see the log): {len(done.failed)}."
                " Those users have to sign in again.",
                soft_wrap=True,
            )

    session.output.result(done, render)
    raise typer.Exit(1 if done.failed else 0)


def _print_line(text: str) -> None:
    """Printed unchanged, for shells."""
    sys.stdout.write(text + "\n")
