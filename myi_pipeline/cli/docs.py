"""`myi docs`: the description of the marts, for people who write SQL."""

from __future__ import annotations

import shutil

import typer

from myi_pipeline.cli.session import JsonOption, open_session, warehouse

docs_app = typer.Typer(help="The description of the marts.", no_args_is_help=True)


@docs_app.command("build")
def build_command(as_json: JsonOption = False) -> None:
    """Describe every mart, its columns and what it is made of, in one page that needs no network."""
    from myi_pipeline.marts.dbt_runner import DbtProcess, dbt_environment
    from myi_pipeline.marts.docs import build_docs

    session = open_session(as_json=as_json)
    page = session.settings.docs_page
    # A folder of its own: a refresh may be using the usual one.
    target = page.parent / "target"
    session.output.note("dbt reads the project and the database; this takes about half a minute.")
    try:
        with warehouse(session) as opened, DbtProcess() as dbt:
            environment = dbt_environment(opened, target=target, logs=session.settings.dbt_logs)
            build_docs(dbt, environment=environment, page=page)
    finally:
        shutil.rmtree(target, ignore_errors=True)
    session.output.result(
        {"page": str(page), "url": session.settings.docs_url},
        lambda console: console.print(
            f"{page}\nWhile `myi up` runs also at {session.settings.docs_url}", soft_wrap=True
        ),
    )


@docs_app.command("serve")
def serve_command() -> None:
    """Serve that page on this machine until Ctrl-C; `myi up` does so by itself."""
    from myi_pipeline.errors import Permanent
    from myi_pipeline.marts.docs import docs_server

    session = open_session()
    settings = session.settings
    try:
        server = docs_server(settings.docs_page, settings.docs_port)
    except OSError as error:
        raise Permanent(f"port {settings.docs_port} cannot be used: {error.strerror}; set MYI_DOCS_PORT") from None
    session.output.note(f"{settings.docs_url}, until Ctrl-C")
    with server:
        server.serve_forever()
