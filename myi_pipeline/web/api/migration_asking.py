"""Requests that change a migration, done once for each Idempotency-Key, and their refusals as the API words them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import psycopg
from fastapi import Path, Request, Response

from myi_pipeline.errors import BadInput
from myi_pipeline.people.kept_answers import KeptAnswer
from myi_pipeline.playlists.migration import deciding, orders, views
from myi_pipeline.playlists.migration.saved import UnknownSaved
from myi_pipeline.playlists.migration.store import PlaylistTaken
from myi_pipeline.playlists.migration.views import MigrationView
from myi_pipeline.web.api.openapi import FOR_TOKENS
from myi_pipeline.web.api.parameters import Id
from myi_pipeline.web.idempotency import REPLAYED_HEADER, repeatable
from myi_pipeline.web.problems import Problem, refused, sentence, wrong_value
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.migration_reports import facts_of
from myi_pipeline.web.site import Site

NONE = "You have no migration with this id."
MigrationId = Annotated[Id, Path(description="Its id in the list of migrations.")]
MARKED = {FOR_TOKENS: True}
BODY = {"_400": "The body is not JSON.", "_413": "The body is larger than 64 KiB."}
WRITE = {
    "_403": "Neither a signed-in browser nor a token with the scope `playlists:write`.",
    "_409": "Its state or another migration does not allow it; see `detail`.",
}


def taken(text: str) -> dict[int | str, dict[str, Any]]:
    """The answer of a route that leaves an order."""
    location = {"Location": {"description": "Where to follow its progress.", "schema": {"type": "string"}}}
    return {202: {"description": text, "headers": {**location, **REPLAYED_HEADER}}}


async def asked(
    request: Request,
    site: Site,
    mover: Visitor,
    key: str | None,
    call: Callable[..., MigrationView],
    *,
    status: int,
) -> Response:
    """Changes the migration, once for each key, and returns it."""
    now = datetime.now(UTC)

    def work(connection: psycopg.Connection[Any]) -> KeptAnswer:
        view = call(connection, user_id=mover.user_id, now=now)
        body = orjson.dumps(facts_of(view, now), option=orjson.OPT_UTC_Z).decode()
        location = f"/v1/me/migrations/{view.migration_id}" if status == 202 else None
        return KeptAnswer(status=status, body=body, location=location)

    with as_problems():
        return await repeatable(request, site, mover, key, work)


@contextmanager
def as_problems() -> Iterator[None]:
    try:
        yield
    except views.UnknownMigration:
        raise Problem(404, "not-found", NONE) from None
    except (orders.UnknownPlaylist, orders.UnknownAccount, UnknownSaved) as error:
        raise Problem(404, "not-found", sentence(str(error))) from None
    except PlaylistTaken as error:
        raise Problem(409, "playlist-taken", sentence(str(error))) from None
    except orders.WrongState as error:
        raise Problem(409, "wrong-state", sentence(str(error))) from None
    except orders.TooManyOrders as error:
        raise Problem(409, "too-many-migrations", sentence(str(error))) from None
    except orders.NotATarget as error:
        raise Problem(422, "account-not-usable", sentence(str(error))) from None
    except deciding.UnknownEntry as error:
        raise wrong_value("body.position", f"must be that of an entry, from 0; {error.position} is not") from None
    except BadInput as error:
        raise refused(error) from None


def address_of(request: Request, site: Site) -> str:
    return client_address(request, site.settings.trusted_networks)
