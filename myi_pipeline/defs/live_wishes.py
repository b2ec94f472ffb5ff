"""Serves live requests in the daemon: a poll at once, what is playing, top lists.

A poll made here reports the same materialization as a run of the asset. Its imports are made at the first request.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import dagster as dg
import structlog
from dagster import DagsterInstance

from myi_pipeline.postgres.connections import Connection, Warehouse
from myi_pipeline.settings import Settings

if TYPE_CHECKING:
    from myi_pipeline.polling.live_wishes import Fulfilment
    from myi_pipeline.polling.poll_users import PollResult
    from myi_pipeline.polling.top_items import TopResult

log = structlog.get_logger(__name__)


class Wishes:
    """Takes wishes from the database. Close it when done."""

    def __init__(self, settings: Settings, warehouse: Warehouse, instance: DagsterInstance) -> None:
        self._settings, self._warehouse, self._instance = settings, warehouse, instance
        self._opened = ExitStack()
        self._fulfilment: Fulfilment | None = None

    def close(self) -> None:
        self._fulfilment = None
        self._opened.close()

    def look(self, connection: Connection) -> None:
        """Begin what waits; other threads do it."""
        if connection.execute("select from ops.live_wishes limit 1").fetchone() is None:
            return
        from myi_pipeline.polling.live_wishes import fulfilling_wishes, take_wishes

        if self._fulfilment is None:
            opened = fulfilling_wishes(
                self._settings, self._warehouse, on_poll=self._report, on_top_lists=self._report_lists
            )
            self._fulfilment = self._opened.enter_context(opened)
        self._fulfilment.begin(take_wishes(connection))

    def _report(self, result: PollResult) -> None:
        from myi_pipeline.defs.polling import RECENTLY_PLAYED, metadata_of_poll

        log.info("polled_at_once", user=result.user_key, outcome=result.outcome, new_plays=result.new_plays)
        if result.polled:
            self._instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    RECENTLY_PLAYED,
                    partition=result.user_key,
                    description="polled at once on request",
                    metadata=metadata_of_poll(result),
                )
            )

    def _report_lists(self, result: TopResult) -> None:
        from myi_pipeline.defs.top_items import TOP_ITEMS, metadata_of_lists

        log.info("top_lists_read_at_once", user=result.user_key, outcome=result.outcome, items=result.items)
        if result.lists:
            self._instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    TOP_ITEMS,
                    partition=result.user_key,
                    description="read at once because somebody opened the overview",
                    metadata=metadata_of_lists(result),
                )
            )
