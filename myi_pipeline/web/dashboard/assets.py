"""Files that pages load: style, scripts and icons.

An address changes with its file, so browsers may cache it for a year. All files come from this site.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"
_A_YEAR_S = 31_536_000
_KEPT = {"cache-control": f"public, max-age={_A_YEAR_S}, immutable"}


@cache
def address(name: str) -> str:
    """The address of a file, with a digest of its content."""
    return f"/static/{name}?{hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12]}"


class Assets(StaticFiles):
    """The folder of static files."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        if scope["query_string"] and answer.status_code == 200:
            answer.headers.update(_KEPT)
        return answer
