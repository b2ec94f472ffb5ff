"""`myi circuit`: users whose requests failed so often that they are left alone for a while."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import moment, number, table
from myi_pipeline.cli.session import JsonOption, UserFilter, open_session, warehouse
from myi_pipeline.cli.users import Key

app = typer.Typer(
    help="List and reset the circuits that stop requests for a user.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def show(
    user: UserFilter = None,
    history: Annotated[
        int, typer.Option("--history", metavar="N", min=0, max=1000, help="So many of the latest changes, too.")
    ] = 10,
    as_json: JsonOption = False,
) -> None:
    """List the circuits that are open or count failures, and what happened lately."""
    from myi_pipeline.services.manage_circuits import circuit_history, list_circuits
    from myi_pipeline.warehouse.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        events = circuit_history(connection, user_key=user, limit=history)
        found = [circuit for circuit in list_circuits(connection) if user in (None, circuit.user_key)]

    def render(console: Console) -> None:
        if not found:
            console.print("Every circuit is closed.")
        else:
            rows = (
                (
                    circuit.user_key,
                    circuit.state,
                    moment(circuit.open_until),
                    ", ".join(f"{number(count)} {kind}" for kind, count in circuit.failures.items()),
                    circuit.reason,
                )
                for circuit in found
            )
            console.print(table(None, ("user", "state", "until (UTC)", "failures in a row", "last reason"), rows))
        if events:
            rows_of_events = (
                (moment(event.happened_at), event.user_key, f"{event.from_state} -> {event.to_state}", event.reason)
                for event in events
            )
            console.print(table("Lately", ("when (UTC)", "user", "change", "reason"), rows_of_events))

    session.output.result({"circuits": found, "history": events}, render)


@app.command("reset")
def reset(key: Key, as_json: JsonOption = False) -> None:
    """Close a user's circuit, so that requests are made again at once."""
    from myi_pipeline.services.manage_circuits import reset_circuit
    from myi_pipeline.spotify.transport import utc_now
    from myi_pipeline.warehouse.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        was_open = reset_circuit(connection, user_key=key, now=utc_now())
    text = f"The circuit of {key} is closed." if was_open else f"The circuit of {key} was closed and had no failures."
    session.output.result({"user_key": key, "was_touched": was_open}, lambda console: console.print(text))
