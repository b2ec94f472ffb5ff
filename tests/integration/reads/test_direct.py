"""Routes that are called directly answer as FastAPI would answer for them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from myi_pipeline.api.app import create_app
from myi_pipeline.api.direct import DirectReads, plan_of
from myi_pipeline.api.routes import figures, plays, top
from tests.conftest import free_port
from tests.integration.api.conftest import serving
from tests.integration.reads.conftest import Filled

PATHS = sorted(route.path for group in (figures, plays, top) for route in group.router.routes)
QUERIES = (
    "", "limit=3", "limit=0", "limit=3&limit=4", "limit=", "cursor=x&from=2024-02-30&grain=hour", "nothing=1",
    "from=2023-03-01&to=2023-04-02", "from=2024-01-01&to=2023-01-01", "period=month&date=2023-05-05&kind=track",
    "time_zone=Europe/Nowhere", "time_zone=Asia/Tokyo&from=2023-03-01", "artist_id=1&content_id=none", "id=5&term=ever",
)  # fmt: skip
ASKED = {"accept": "application/json", "x-request-id": "both"}


@pytest.fixture(scope="module")
def both(filled: Filled) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """The site as it is, and one that leaves every route to FastAPI."""
    bearer = {"authorization": f"Bearer {filled.tokens['ada']}"}
    usual, other = (create_app(filled.settings, filled.warehouse) for _ in range(2))
    other.user_middleware = [each for each in other.user_middleware if each.cls is not DirectReads]
    assert len(other.user_middleware) == len(usual.user_middleware) - 1
    ports = (free_port(), free_port())
    with serving(usual, ports[0]), serving(other, ports[1]):
        one, two = (
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                # The site goes by one name.
                headers={**bearer, **ASKED, "host": f"127.0.0.1:{filled.settings.api_port}"},
                verify=False,
                trust_env=False,
                timeout=20,
            )
            for port in ports
        )
        with one, two:
            yield one, two


def ask(site: httpx.Client, address: str) -> httpx.Response:
    """A machine with much else to do may put a request off; that is no difference between the two."""
    for _ in range(5):
        answer = site.get(address)
        if answer.status_code != 503:
            break
    return answer


def told(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    return answer.status_code, answer.content, {name: value for name, value in answer.headers.items() if name != "date"}


@pytest.mark.parametrize("path", PATHS)
def test_a_route_answers_the_same_both_ways(both: tuple[httpx.Client, httpx.Client], path: str) -> None:
    statuses = set()
    for query in QUERIES:
        ours, theirs = (told(ask(each, f"{path}?{query}")) for each in both)
        assert ours == theirs, query
        statuses.add(ours[0])
    assert 200 in statuses
    for headers in ({"authorization": "Bearer myi_no"}, {"accept": "image/png"}, {"accept": "text/csv"}):
        assert told(both[0].get(path, headers=headers)) == told(both[1].get(path, headers=headers)), headers
    for method in ("POST", "HEAD"):
        assert told(both[0].request(method, path)) == told(both[1].request(method, path)), method


def test_every_reading_route_is_called_directly() -> None:
    groups = [*figures.router.routes, *plays.router.routes, *top.router.routes]
    assert set(DirectReads(create_app, groups)._routes) == set(PATHS)  # type: ignore[arg-type]


def test_a_signature_that_is_not_understood_is_refused_at_the_start() -> None:
    async def route(body: dict[str, int]) -> None: ...

    with pytest.raises(TypeError, match="body"):
        plan_of(route)
