"""Metrics for Prometheus: what this process counted, and what the database's views say at the moment of asking.

None of them says anything about a person: circuits of linked accounts have the account's number. The database part is
read as the role `monitor`, which sees aggregates alone; without a database the metrics of this process are still
served.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.concurrency import run_in_threadpool

from myi_pipeline.operations.backup.journal import OLDEST
from myi_pipeline.postgres.connections import Warehouse, compose_url, parse_url
from myi_pipeline.postgres.disk_space import disk_guard
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.youtube_music.units import daily_limits
from myi_pipeline.settings import Settings
from myi_pipeline.web.reads.pools import Pools
from myi_pipeline.web.reads.replica import REASONS, REPLICA, Replica
from myi_pipeline.web.reads.servers import DatabaseGone

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
    "logins_ending": ("Logins that end within this many days.", "days"),
    "imports": ("Imports by status.", "status"),
    "sessions": ("Browsers that are signed in.", None),
    "musicbrainz_queue": ("Tracks and artists by what MusicBrainz said.", "state"),
    "musicbrainz_failing": ("Tracks and artists that wait after a failure.", None),
    "musicbrainz_held_up": ("Whether MusicBrainz is not asked for a while.", None),
    "backup_age_seconds": ("Seconds since the last backup that succeeded.", None),
    "backup_failed": ("Whether the last backup failed.", None),
    "backup_bytes": ("Bytes of the last backup that succeeded.", None),
}


_ASKED = (
    b"select name, label, value from ops.figures union all select name, label, value from ops.mart_figures"
    b" union all select name, label, value from ops.genre_figures"
    b" union all select name, label, value from ops.backup_figures"
)
_ACCOUNTS = b"select provider, account_id, state from ops.account_figures"
_UNITS = b"select kind, used from ops.service_unit_figures"
_DAGSTER_FIGURES = {
    "dagster_runs_failed_1h": "Runs of Dagster that failed within an hour.",
    "dagster_runs_active": "Runs of Dagster that are going on.",
    "dagster_runs_queued": "Runs of Dagster that wait for a place.",
    "dagster_queue_age_seconds": "Seconds that the oldest of them has waited.",
    "dagster_heartbeat_age_seconds": "Seconds since the last sign of life of Dagster's daemon.",
}
_DAGSTER_KEPT_S = 15.0
# Prometheus waits ten seconds for all figures together.
_DAGSTER_CONNECT_S = 2
_DAGSTER_LIMITS = b"set statement_timeout = '2s'; set default_transaction_read_only = on"
# How a circuit's state is shown as a number, as alerts compare it.
_CIRCUIT_STATES = {"closed": 0, "half_open": 1, "open": 2}


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
        self._dagster: Mapping[str, float] | None = None
        self._dagster_until = 0.0

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        # A method may be any word, and each is a series for ever.
        known = method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    async def page(self, pools: Pools, settings: Settings, warehouse: Warehouse) -> bytes:
        """The exposition format."""
        try:
            rows = await pools.ask_monitor(_ASKED)
            accounts, units = await pools.ask_monitor(_ACCOUNTS), await pools.ask_monitor(_UNITS)
        except DatabaseGone:
            rows, accounts, units = None, [], []
        now = CollectorRegistry()
        Gauge("myi_database_up", "Whether the database answers.", registry=now).set(rows is not None)
        connections = Gauge("myi_pool_connections", "Connections.", ("pool", "state"), registry=now)
        for pool, figures in pools.figures().items():
            connections.labels(pool, "open").set(figures.get("pool_size", 0))
            connections.labels(pool, "idle").set(figures.get("pool_available", 0))
            connections.labels(pool, "awaited").set(figures.get("requests_waiting", 0))
        if pools.replica is not None:
            _add_replica(now, pools.replica, settings)
        _add_figures(now, rows or (), settings)
        _add_accounts(now, accounts)
        if rows is not None and settings.youtube_client_id is not None:
            _add_units(now, units, settings)
        # Where our own database hangs, so does Dagster's most likely: nobody waits for both.
        _add_dagster(now, await self._ask_dagster(warehouse) if rows is not None else None)
        _add_disk(now, settings)
        _add_backups(now, settings)
        return generate_latest(self._registry) + generate_latest(now)

    async def _ask_dagster(self, warehouse: Warehouse) -> Mapping[str, float] | None:
        """Asked again after a while only, as each time takes a connection of its own."""
        if time.monotonic() >= self._dagster_until:
            self._dagster = await run_in_threadpool(dagster_figures, warehouse)
            self._dagster_until = time.monotonic() + _DAGSTER_KEPT_S
        return self._dagster


def _add_replica(registry: CollectorRegistry, replica: Replica, settings: Settings) -> None:
    """Of a replica that does not answer no lag is known: no figure is better than a wrong one."""
    Gauge("myi_replica_up", "Whether pages read the replica.", registry=registry).set(replica.is_up)
    limit = Gauge("myi_replica_lag_limit_seconds", "Lag above which pages say as of when they are.", registry=registry)
    limit.set(settings.replica_lag_s)
    lags = {"seconds": ("Seconds", replica.lag_s), "bytes": ("Bytes of log", replica.lag_bytes)}
    for unit, (what, lag) in lags.items():
        if lag is not None:
            Gauge(f"myi_replica_lag_{unit}", f"{what} by which the replica is behind.", registry=registry).set(lag)
    reads = Counter(
        "myi_replica_reads", "Reads of marts: by the replica, or why by the primary.", ("served",), registry=registry
    )  # fmt: skip
    for served in (REPLICA, *REASONS):
        reads.labels(served).inc(replica.reads[served])


def _add_dagster(registry: CollectorRegistry, figures: Mapping[str, float] | None) -> None:
    Gauge("myi_dagster_storage_up", "Whether Dagster's storage answers.", registry=registry).set(figures is not None)
    for name, value in (figures or {}).items():
        Gauge(f"myi_{name}", _DAGSTER_FIGURES[name], registry=registry).set(value)


def _add_disk(registry: CollectorRegistry, settings: Settings) -> None:
    try:
        guard = disk_guard(settings)
        _, free = guard.tightest()
    except OSError:
        return
    Gauge("myi_disk_free_bytes", "Bytes free where MYI has the least room.", registry=registry).set(free)
    floor = Gauge("myi_disk_floor_bytes", "Bytes below which imports and refreshes stop; 0: never.", registry=registry)
    floor.set(guard.floor_bytes)


def _add_backups(registry: CollectorRegistry, settings: Settings) -> None:
    """Without MYI_BACKUP nobody promised any."""
    if settings.backup is not None:
        limit = Gauge("myi_backup_age_limit_seconds", "Seconds after which a backup is overdue.", registry=registry)
        limit.set(OLDEST[settings.backup_every].total_seconds())


def _add_accounts(registry: CollectorRegistry, rows: Iterable[tuple[Any, ...]]) -> None:
    circuits = Gauge(
        "myi_account_circuit", "A linked account's circuit: 0 closed, 1 half open, 2 open.", ("provider", "account"),
        registry=registry,
    )  # fmt: skip
    for provider, account_id, state in rows:
        circuits.labels(provider, str(account_id)).set(_CIRCUIT_STATES[state])


def _add_units(registry: CollectorRegistry, rows: Iterable[tuple[Any, ...]], settings: Settings) -> None:
    used = dict(rows)
    about = {"used": "YouTube's units used today, by kind.", "left": "YouTube's units left of today, by kind."}
    gauges = {
        name: Gauge(f"myi_youtube_units_{name}", text, ("kind",), registry=registry) for name, text in about.items()
    }
    for kind, limit in daily_limits(settings).items():
        spent = used.get(kind.value, 0)
        gauges["used"].labels(kind.value).set(spent)
        gauges["left"].labels(kind.value).set(max(0, limit - spent))


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


def dagster_figures(warehouse: Warehouse) -> Mapping[str, float] | None:
    """Figures by name, none of them about a person; None if the storage does not answer or is not there yet."""
    try:
        with closing(
            psycopg.connect(
                compose_url(parse_url(warehouse.dagster_url())), autocommit=True, connect_timeout=_DAGSTER_CONNECT_S,
                application_name="myi metrics",
            )
        ) as connection:  # fmt: skip
            # Not as options of the connection: poolers refuse those.
            connection.execute(_DAGSTER_LIMITS)
            return dict(connection.execute(load_sql("web/run_figures")).fetchall())
    except psycopg.Error:
        return None
