"""Liveness, readiness and metrics. None reveals anything about a person, and `/healthz` needs no database."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from starlette.requests import Request

from myi_pipeline.postgres.migrations import HEAD
from myi_pipeline.web.metrics import MEDIA_TYPE
from myi_pipeline.web.problems import Problem, unavailable
from myi_pipeline.web.reads.servers import DatabaseGone
from myi_pipeline.web.security.client_address import client_address, is_this_machine
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.site import TheSite

# Probes use any host name for these; they reveal only whether the service answers.
PATHS = ("/healthz", "/readyz")
METRICS = "/metrics"
router = APIRouter(include_in_schema=False, dependencies=[Depends(limited(Tier.LENIENT))])


@router.get("/healthz")
async def is_alive() -> JSONResponse:
    """This process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def is_ready(site: TheSite) -> JSONResponse:
    """The database answers and has the schema of this version."""
    try:
        rows = await site.pools.ask_monitor(b"select version_num from ops.schema_version", primary_alone=True)
    except DatabaseGone:
        raise unavailable("The database does not answer.") from None
    if not rows or rows[0][0] != HEAD:
        raise unavailable("The database schema does not match this version: run `myi migrate`.")
    return JSONResponse({"status": "ok", "schema": HEAD})


@router.get(METRICS)
async def show_metrics(request: Request, site: TheSite) -> Response:
    """Metrics for Prometheus: on their own port for anybody who can reach it, otherwise for this machine only."""
    address = client_address(request, site.settings.trusted_networks)
    # Requests that pass through an undeclared proxy on this machine do not count as local.
    is_passed_on = any(name in request.headers for name in ("forwarded", "x-forwarded-for"))
    is_local = is_this_machine(address) and not is_passed_on
    if site.settings.metrics_port is None and not is_local:
        raise Problem(404, "not-found", "There is nothing here.")
    return Response(await site.metrics.page(site.pools, site.settings, site.warehouse), media_type=MEDIA_TYPE)
