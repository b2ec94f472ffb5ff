"""Metrics for Prometheus: what this process counted, and what the view `ops.figures` says at the moment of asking.

None of them is about one user. The database part is read as the role `monitor`, which sees aggregates alone; without a
database the metrics of this process are still served.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from myi_pipeline.settings import Settings
from myi_pipeline.web.reads.database import DatabaseGone, Pools

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# The aims of the reads are 5 ms and 100 ms.
_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
# The figures of ops.figures: what each is, and the name of its label.
_FIGURES = {
    "users": ("Users.", None),
    "marts_age_seconds": ("Seconds since the last complete refresh of the marts.", None),
    "mart_runs_failed_24h": ("Refreshes that failed in 24 hours.", None),
    "last_mart_run_seconds": ("Seconds that the last complete refresh took.", None),
    "last_mart_run_models": ("Models that the last complete refresh built.", None),
    "mart_model_seconds": ("Seconds that a model took in its last run.", "model"),
    "ledger_open_rows": ("Changes that wait for a refresh.", "ledger"),
    "ledger_age_seconds": ("Seconds since the oldest change that waits for a refresh.", None),
    "last_poll_age_seconds": ("Seconds since a poll last succeeded.", None),
    "spotify_calls_24h": ("Calls in 24 hours of the client id that asked most.", "bucket"),
    "spotify_blocked": ("Client ids that Spotify is blocking.", "bucket"),
    "circuits": ("Users by the state of their circuit.", "state"),
    "logins": ("Logins at Spotify by state.", "state"),
    "logins_ending": ("Logins that end within so many days.", "days"),
    "imports": ("Imports by status.", "status"),
    "sessions": ("Browsers that are signed in.", None),
    "musicbrainz_queue": ("Tracks and artists by what MusicBrainz said.", "state"),
    "musicbrainz_failing": ("Tracks and artists that wait after a failure.", None),
    "musicbrainz_held_up": ("Whether MusicBrainz is not asked for a while.", None),
}


_ASKED = (
    b"select name, label, value from ops.figures union all select name, label, value from ops.mart_figures"
    b" union all select name, label, value from ops.genre_figures"
)


class Metrics:
    """The metrics of one running API."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "myi_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "myi_http_request_seconds", "Seconds until a request was answered.", ("route",),
            buckets=_BUCKETS_S, registry=self._registry,
        )  # fmt: skip

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        # A method may be any word, and each is a series for ever.
        known = method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    async def page(self, pools: Pools, settings: Settings) -> bytes:
        """The exposition format."""
        try:
            rows = await pools.ask_monitor(_ASKED)
        except DatabaseGone:
            rows = None
        now = CollectorRegistry()
        Gauge("myi_database_up", "Whether the database answers.", registry=now).set(rows is not None)
        connections = Gauge("myi_pool_connections", "Connections.", ("pool", "state"), registry=now)
        for pool, figures in pools.figures().items():
            connections.labels(pool, "open").set(figures.get("pool_size", 0))
            connections.labels(pool, "idle").set(figures.get("pool_available", 0))
            connections.labels(pool, "awaited").set(figures.get("requests_waiting", 0))
        _add_figures(now, rows or (), settings)
        return generate_latest(self._registry) + generate_latest(now)


def _add_figures(registry: CollectorRegistry, rows: Iterable[tuple[Any, ...]], settings: Settings) -> None:
    gauges: dict[str, Gauge] = {}
    calls = {"catalogue": 0.0, "all": 0.0}
    is_known = False
    for name, label, value in rows:
        if value is None:
            continue  # never happened yet: no figure is better than a wrong one
        about, label_name = _FIGURES[name]
        if name not in gauges:
            gauges[name] = Gauge(f"myi_{name}", about, (label_name,) if label_name else (), registry=registry)
        (gauges[name].labels(label) if label_name else gauges[name]).set(value)
        if name == "spotify_calls_24h":
            is_known = True
            calls[label] = value
    if is_known:
        left = Gauge("myi_spotify_calls_left_24h", "Calls left before the catalogue waits.", ("of",), registry=registry)
        left.labels("all").set(max(0.0, settings.spotify_calls_per_day - calls["all"]))
        left.labels("catalogue").set(max(0.0, settings.spotify_catalogue_calls_per_day - calls["catalogue"]))
