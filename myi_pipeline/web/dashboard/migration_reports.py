"""The results of every entry of a moved playlist, as files to download."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import APIRouter
from fastapi.responses import Response

from myi_pipeline.playlists.migration import views
from myi_pipeline.playlists.migration.views import MigrationView
from myi_pipeline.web.answers import CSV, JSON, csv_of
from myi_pipeline.web.dashboard.inputs import number_in_path
from myi_pipeline.web.dashboard.migration_stages import find_progress
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.migration_reports import ReportRow, facts_of, report_row
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()


@router.get("/migrations/{migration_id}/report.csv")
async def report_table(person: Person, site: TheSite, migration_id: str) -> Response:
    """The same as `/v1/me/migrations/{migration_id}/report`, as a download."""
    view, rows = await _report(site, person, number_in_path(migration_id))
    return _file(csv_of(rows, list(ReportRow.model_fields)), f"{CSV}; charset=utf-8", view, "csv")


@router.get("/migrations/{migration_id}/report.json")
async def report_document(person: Person, site: TheSite, migration_id: str) -> Response:
    view, rows = await _report(site, person, number_in_path(migration_id))
    document = {"migration": facts_of(view, datetime.now(UTC)), "data": rows}
    return _file(orjson.dumps(document, option=orjson.OPT_UTC_Z | orjson.OPT_INDENT_2), JSON, view, "json")


async def _report(site: Site, person: Visitor, number: int) -> tuple[MigrationView, list[dict[str, Any]]]:
    view = (await find_progress(site, person, number)).migration
    items = await site.pools.in_thread(
        views.list_items, user_id=person.user_id, migration_id=number, with_candidates=False
    )  # fmt: skip
    return view, [report_row(each) for each in items]


def _file(content: bytes, media_type: str, view: MigrationView, ending: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="migration-{view.migration_id}.{ending}"'}
    return Response(content, media_type=media_type, headers=headers)
