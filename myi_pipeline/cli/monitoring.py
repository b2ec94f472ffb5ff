"""`myi monitoring`: files for Prometheus and Grafana."""

from __future__ import annotations

import sys

import typer

app = typer.Typer(
    help="Print alerts for Prometheus and a dashboard for Grafana.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("rules")
def rules_command() -> None:
    """Print alerting rules for Prometheus (YAML), for a file that its rule_files name."""
    from myi_pipeline.operations.monitoring import rules

    sys.stdout.write(rules())


@app.command("dashboard")
def dashboard_command() -> None:
    """Print a dashboard for Grafana (JSON), to be imported there."""
    from myi_pipeline.operations.monitoring import dashboard

    sys.stdout.write(dashboard())
