"""Alerts for Prometheus and a dashboard for Grafana, as files that `myi monitoring` prints.

A test compares every figure in them with what /metrics offers.
"""

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent


def rules() -> str:
    """Prometheus' alerting rules, YAML."""
    return (_FOLDER / "rules.yml").read_text(encoding="utf-8")


def dashboard() -> str:
    """A Grafana dashboard, JSON; it asks for its Prometheus when it is imported."""
    return (_FOLDER / "dashboard.json").read_text(encoding="utf-8")
