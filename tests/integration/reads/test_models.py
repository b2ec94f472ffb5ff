"""Every answer of a reading route is what its model says: page after page, in a zone, with plays and without."""

from __future__ import annotations

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from myi_pipeline.web.api.models import PlayList
from myi_pipeline.web.api.routes import figures, plays, top
from tests.integration.api.conftest import api_routes
from tests.integration.reads.conftest import Api

ROUTES = {route.path: route for group in (figures, plays, top) for route in api_routes(group.router.routes)}
QUERIES = (
    "", "limit=3", "from=2023-03-01&to=2023-04-02", "from=2019-01-01&to=2019-02-01", "period=month&date=2023-05-05",
    "time_zone=Asia/Tokyo&from=2023-03-01", "kind=track", "kind=artist&term=short_term", "kind=album",
    "grain=day&limit=40", "grain=week", "grain=year", "artist_id=1", "content_id=1", "id=5",
)  # fmt: skip


def model_of(route: APIRoute) -> type[BaseModel]:
    assert isinstance(route.response_model, type)
    assert issubclass(route.response_model, BaseModel)
    return route.response_model


@pytest.mark.parametrize("path", sorted(ROUTES))
@pytest.mark.parametrize("user", ["ada", "bob"])
def test_every_answer_of_a_route_is_what_its_model_says(api: Api, path: str, user: str) -> None:
    model = model_of(ROUTES[path])
    served = 0
    for query in QUERIES:
        answer = api.get(f"{path}?{query}", as_=user)
        assert answer.status_code in (200, 422), answer.text
        pages = 0
        while answer.status_code == 200 and pages < 3:
            model.model_validate_json(answer.content)
            served, pages = served + 1, pages + 1
            if "next" not in answer.links:
                break
            answer = api.get(answer.links["next"]["url"], as_=user)
            assert answer.status_code == 200, answer.text
    assert served


def test_an_answer_with_another_field_is_noticed(api: Api) -> None:
    document = api.read("/v1/me/plays", limit=1)
    PlayList.model_validate(document)
    document["data"][0]["mood"] = "calm"
    with pytest.raises(ValidationError):
        PlayList.model_validate(document)
