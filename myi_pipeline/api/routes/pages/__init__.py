"""The dashboard: pages that are rendered here and read the same marts as `/v1`, one file a page.

Belongs here: which pages there are. Invariant: a page is for the browser of a person who is signed in, and shows that
person's rows alone.
"""

from __future__ import annotations

from fastapi import APIRouter

from myi_pipeline.api.routes.pages import (
    account,
    account_forms,
    coverage,
    covers,
    history,
    imports,
    music,
    overview,
    sessions,
    top_lists,
    years,
)

router = APIRouter(include_in_schema=False)
for page in (overview, top_lists, music, covers, years, history, sessions, coverage, imports, account, account_forms):
    router.include_router(page.router)
