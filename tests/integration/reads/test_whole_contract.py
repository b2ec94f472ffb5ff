"""The whole contract, by examples that Schemathesis makes from it: good requests, bad ones, and what lies between.

A request that the schema lets through may be refused only for what no schema can say; everything else that Schemathesis
checks holds as it stands: no 5xx, no status, type, header or body that the contract does not name, and no bad request
that is let through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.pytest.lazy import get_all_tests
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from myi_pipeline.people import manage_access
from myi_pipeline.postgres.connections import Role
from myi_pipeline.web.api.openapi import operations
from myi_pipeline.web.api.write_openapi import FILE
from myi_pipeline.web.reads.cursors import MOST_INT
from tests.integration.reads.conftest import SAVED, Api, Filled

CONTRACT = orjson.loads(FILE.read_bytes())
CHECKS = [
    not_a_server_error, content_type_conformance, negative_data_rejection, response_headers_conformance,
    response_schema_conformance, status_code_conformance,
]  # fmt: skip
# Which zones there are, whose a cursor is, which keys are in use, that the two ends of a span are in order: no schema
# can say that.
BEYOND_SCHEMAS = {
    "query.cursor",
    "query.time_zone",
    "query.from",
    "query.to",
    "query.period",
    "query.date",
    "query.content_id",
    "header.Idempotency-Key",
}
# Whether bytes are an archive or a playlist file, which characters of a name can be printed, which versions a playlist
# has, what is a track of a service, which addresses are public, and what of a wish, of a list's days or of a report's
# days and end goes together.
UNSAID = {
    "POST /v1/me/imports", "POST /v1/me/tokens", "POST /v1/me/corrections", "POST /v1/me/correction-previews",
    "POST /v1/me/recording-decisions", "POST /v1/me/migrations", "POST /v1/me/migrations/{migration_id}/decisions",
    "POST /v1/me/playlists", "POST /v1/me/playlists/{playlist_id}/exports",
    "POST /v1/me/playlists/{playlist_id}/restorations", "POST /v1/me/playlist-files",
    "POST /auth/attempts", "POST /v1/me/erasure", "POST /v1/me/shares", "POST /v1/me/share-previews",
    "PATCH /v1/me/shares/{share_id}", "POST /v1/me/webhooks", "PATCH /v1/me/webhooks/{webhook_id}",
}  # fmt: skip
# Who asks is tested below; here every request is that of a browser which is signed in.
TRUSTING = {
    **CONTRACT,
    "paths": {
        path: {
            method: {name: value for name, value in operation.items() if name != "security"}
            for method, operation in item.items()
        }
        for path, item in CONTRACT["paths"].items()
    },
}
TRUSTED = schemathesis.openapi.from_dict(TRUSTING)
LABELS = [f"{method.upper()} {path}" for path, method, _ in operations(CONTRACT)]


@schemathesis.serializer("application/zip")
def as_it_is(_: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def examples(count: int) -> settings:
    return settings(max_examples=count, suppress_health_check=list(HealthCheck), database=None)


@dataclass(frozen=True)
class Browser:
    """A signed-in browser of a listener with plays; `session` keeps its connection open. `heard` are the ids of what
    that listener played, by the parameters that take them."""

    url: str
    session: requests.Session
    session_id: int
    heard: dict[str, list[int]]
    # Leaves nothing that is under way: its stream would stay open.
    settle: Callable[[], object]
    modes: Counter[Any] = field(default_factory=Counter)

    def check(self, case: schemathesis.Case) -> None:
        # Signing itself out would make strangers of all later requests.
        if str((case.path_parameters or {}).get("session_id")) == str(self.session_id):
            return
        # An id that the contract allows is hardly ever one of these.
        for name, ids in self.heard.items():
            given = (case.path_parameters or {}).get(name)
            if isinstance(given, int) and 0 < given <= MOST_INT:
                case.path_parameters[name] = ids[given % len(ids)]
        if case.operation.path.endswith("/events"):
            self.settle()
        self.modes[case.meta.generation.mode if case.meta else None] += 1
        answer = case.call(base_url=self.url, session=self.session, headers={"sec-fetch-site": "same-origin"})
        assert answer.status_code != 401
        case.validate_response(answer, checks=[*CHECKS, refused_for_a_reason])


@pytest.fixture(scope="module")
def browser(filled: Filled, api: Api) -> Iterator[Browser]:
    with filled.warehouse.connect(Role.APP, autocommit=True) as connection:
        reference = manage_access.begin_session(
            connection, user_id=filled.users["bob"], method="link", device="schemathesis"
        )
    with requests.Session() as session:
        session.trust_env = False
        session.cookies.set("myi_session", reference)
        (session_id,) = filled.sql("select session_id from app.sessions where device = 'schemathesis'")[0]
        heard = {
            f"{kind}_id": [
                id
                for (id,) in filled.read(
                    f"select {kind}_id from marts.agg_period_{kind}s where user_id = %s and period = 'all'",
                    filled.users["bob"],
                )
            ]
            for kind in ("track", "artist", "album")
        }
        query = "select playlist_id from marts.dim_playlists where user_id = %s"
        heard["playlist_id"] = [id for (id,) in filled.read(query, filled.users["bob"])]
        query = "select migration_id from app.migrations where user_id = %s"
        heard["migration_id"] = [id for (id,) in filled.sql(query, filled.users["bob"])]

        heard["saved_id"] = [id for (id,) in filled.sql(SAVED, filled.users["bob"])]

        def settle() -> None:
            filled.sql("update app.migrations set state = 'planned', ordered = null, ordered_at = null")

        yield Browser(str(api.client.base_url), session, session_id, heard, settle)
    filled.restore_access()


def refused_for_a_reason(context: Any, response: Any, case: schemathesis.Case) -> bool | None:
    """As positive_data_acceptance, save for what no schema can say, and for bytes that are no archive."""
    if response.status_code == 422:
        if case.operation.label in UNSAID:
            return None
        places = {each["place"] for each in response.json().get("errors", [])}
        if places and places <= BEYOND_SCHEMAS:
            return None
    return positive_data_acceptance(context, response, case)


def hold(label: str, browser: Browser, *, count: int) -> None:
    """As `TRUSTED.parametrize()` does, but within the test: that makes examples of every operation when tests are
    collected, which took ten seconds and a gigabyte of each worker."""

    def check(case: schemathesis.Case, browser: Browser) -> None:
        browser.check(case)

    found = get_all_tests(
        schema=TRUSTED.include(name=label), test_func=check, settings=examples(count), given_kwargs=None
    )
    (_, test) = next(found).ok()
    test(browser=browser)
    assert next(found, None) is None


@pytest.mark.parametrize("label", LABELS)
def test_the_contract_holds_for(label: str, browser: Browser) -> None:
    hold(label, browser, count=20)


@pytest.mark.long
@pytest.mark.parametrize("label", LABELS)
def test_the_contract_holds_over_many_requests_for(label: str, browser: Browser) -> None:
    hold(label, browser, count=500)


def test_requests_were_good_ones_and_bad_ones(browser: Browser) -> None:
    if browser.modes:  # The test above may run elsewhere.
        assert set(browser.modes) == {GenerationMode.POSITIVE, GenerationMode.NEGATIVE}
        assert min(browser.modes.values()) > 200


def filled_path(path: str) -> str:
    return "/".join("1" if part.startswith("{") else part for part in path.split("/"))


FOR_STRANGERS = {path for path, _, operation in operations(CONTRACT) if operation["security"] == []}


def test_strangers_may_sign_in_and_nothing_else() -> None:
    assert {"/auth/attempts", "/auth/attempts/{attempt_id}"} == FOR_STRANGERS


@pytest.mark.parametrize(
    ("path", "method"), [(path, method) for path, method, _ in operations(CONTRACT) if path not in FOR_STRANGERS]
)
def test_no_operation_answers_a_stranger(api: Api, path: str, method: str) -> None:
    headers = {"sec-fetch-site": "same-origin"}
    for more in ({}, {"authorization": "Bearer myi_" + "A" * 43}, {"cookie": "myi_session=" + "A" * 43}):
        answer = api.client.request(method, filled_path(path), headers={**headers, **more})
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", sorted(CONTRACT["paths"]))
def test_a_method_that_is_not_in_the_contract_is_refused_with_the_ones_that_are(api: Api, path: str) -> None:
    for method in ("put", "patch", "delete", "post"):
        if method not in CONTRACT["paths"][path]:
            answer = api.client.request(method, filled_path(path), headers={"sec-fetch-site": "same-origin"})
            assert answer.status_code == 405, method
            assert answer.headers["allow"]


def test_what_the_contract_does_not_name_is_noticed(browser: Browser) -> None:
    """The checks can fail: the same answers, held against a contract that promises something else."""
    breaks: list[Callable[[Any], object]] = [
        lambda d: d["components"]["schemas"]["Me"]["properties"]["user_key"].update(type="integer"),
        lambda d: d["components"]["schemas"]["Me"]["required"].append("mood"),
        lambda d: d["paths"]["/v1/me"]["get"]["responses"].pop("200"),
        lambda d: d["paths"]["/v1/me"]["get"]["responses"]["200"]["content"].update(
            {"text/plain": d["paths"]["/v1/me"]["get"]["responses"]["200"]["content"].pop("application/json")}
        ),
    ]
    for change in breaks:
        wrong = orjson.loads(orjson.dumps(TRUSTING))
        change(wrong)
        case = schemathesis.openapi.from_dict(wrong)["/v1/me"]["GET"].Case()
        with pytest.raises((Failure, FailureGroup)):
            browser.check(case)
