"""Whether this process lives, whether it can serve, and its figures.

Belongs here: what probes and Prometheus ask. Invariant: nothing here says anything of a person, and `/healthz` needs no
database.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from starlette.requests import Request

from myi_pipeline.api.database import DatabaseGone
from myi_pipeline.api.metrics import MEDIA_TYPE
from myi_pipeline.api.problems import Problem, unavailable
from myi_pipeline.api.security.client_address import client_address, is_this_machine
from myi_pipeline.api.security.rate_limits import Tier, limited
from myi_pipeline.api.site import TheSite
from myi_pipeline.warehouse.migrations import HEAD

PATHS = ("/healthz", "/readyz", "/metrics")
router = APIRouter(include_in_schema=False, dependencies=[Depends(limited(Tier.LENIENT))])


@router.get("/healthz")
async def is_alive() -> JSONResponse:
    """This process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def is_ready(site: TheSite) -> JSONResponse:
    """The database answers and has the schema of this program."""
    try:
        rows = await site.pools.ask_monitor("select version_num from ops.schema_version")
    except DatabaseGone:
        raise unavailable("The database does not answer.") from None
    if not rows or rows[0][0] != HEAD:
        raise unavailable("The database's schema is not this program's: run `myi migrate`.")
    return JSONResponse({"status": "ok", "schema": HEAD})


@router.get("/metrics")
async def show_metrics(request: Request, site: TheSite) -> Response:
    """Figures for Prometheus: on their own listener for whoever reaches it, else for this machine alone."""
    address = client_address(request, site.settings.trusted_networks)
    # A proxy on this machine that nobody named is no visitor of this machine's.
    is_passed_on = any(name in request.headers for name in ("forwarded", "x-forwarded-for"))
    is_local = is_this_machine(address) and not is_passed_on
    if site.settings.metrics_port is None and not is_local:
        raise Problem(404, "not-found", "There is nothing here.")
    return Response(await site.metrics.page(site.pools, site.settings), media_type=MEDIA_TYPE)
