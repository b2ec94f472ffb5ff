"""Files that pages load: style, scripts, and the chart library out of its package.

An address changes with its file, so browsers may cache it for a year. No file comes from another machine.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"
CHARTS = "plotly.min.js"
_A_YEAR_S = 31_536_000
_KEPT = {"cache-control": f"public, max-age={_A_YEAR_S}, immutable"}


@cache
def _file(name: str) -> Path:
    if name != CHARTS:
        return FOLDER / name
    # The package's script alone is wanted: importing it would load a library of Python for nothing.
    found = find_spec("plotly")
    if found is None or found.origin is None:
        raise FileNotFoundError("the package plotly is not installed")
    return Path(found.origin).parent / "package_data" / CHARTS


@cache
def address(name: str) -> str:
    """Where a file is, with what names its content."""
    return f"/static/{name}?{hashlib.sha256(_file(name).read_bytes()).hexdigest()[:12]}"


@cache
def chart_style_guards() -> tuple[str, ...]:
    """Ids of style elements that the chart library would write into the page, which the content policy refuses. It
    leaves out those that are there already."""
    return tuple(re.findall(r'getElementById\("([0-9a-f]{64})"\)', _file(CHARTS).read_text(encoding="utf-8")))


class Assets(StaticFiles):
    """The folder of static files, and the chart library as one of them."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path == CHARTS:
            if scope["method"] not in ("GET", "HEAD"):
                raise HTTPException(405)
            return FileResponse(_file(CHARTS), media_type="text/javascript", headers=_KEPT)
        answer = await super().get_response(path, scope)
        if scope["query_string"] and answer.status_code == 200:
            answer.headers.update(_KEPT)
        return answer
