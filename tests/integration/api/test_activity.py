"""What a person sees of what was done with their account: on a page, and at /v1/me/audit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from myi_pipeline.people import audit
from myi_pipeline.people.audit import Event
from myi_pipeline.people.manage_access import TokenScope
from myi_pipeline.postgres.connections import Role
from tests.integration.api.conftest import RunningSite

AUDIT, PAGE = "/v1/me/audit", "/account/activity"
HTML = {"accept": "text/html"}


def firsts(site: RunningSite) -> list[tuple[str, str, str]]:
    return site.sql(
        "select user_key, detail ->> 'name', address from app.audit where event = 'token_first_used' order by audit_id"
    )  # type: ignore[return-value]


def test_the_first_use_of_a_token_is_recorded_once_with_where_it_came_from(site: RunningSite) -> None:
    token = site.token("ana")
    assert firsts(site) == []

    def ask(_: int) -> int:
        return site.visitor(authorization=f"Bearer {token}").get("/v1/me/time-zones").status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(ask, range(12))) == {200}
    assert firsts(site) == [("ana", "test", "127.0.0.1")]

    # A scrobbler's token is one, too.
    submits = site.token("ben", scope=TokenScope.SUBMIT_LISTENS)
    scrobbler = site.visitor(authorization=f"Token {submits}")
    for _ in range(2):
        assert scrobbler.get("/1/validate-token").json()["valid"] is True
    assert [row[0] for row in firsts(site)] == ["ana", "ben"]
    assert site.visitor(authorization="Bearer myi_" + "x" * 43).get("/v1/me/time-zones").status_code == 401
    assert len(firsts(site)) == 2


def test_a_person_sees_all_of_theirs_page_by_page_and_nobody_elses(site: RunningSite) -> None:
    ana, ben = site.browser("ana"), site.user("ben")
    with site.warehouse.connect(Role.APP, autocommit=True) as connection:
        for number in range(105):
            audit.record(
                connection, Event.TOKEN_MADE, user_id=site.user("ana"), address="203.0.113.7",
                detail={"name": f"<b>notebook {number}</b>"},
            )  # fmt: skip
        audit.record(connection, Event.TOKEN_MADE, user_id=ben, detail={"name": "of ben"})

    seen, cursor = [], None
    while True:
        answer = ana.get(AUDIT, params={"limit": 40} | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        seen += answer.json()["data"]
        cursor = answer.json()["next"]
        if cursor is None:
            break
        assert AUDIT in answer.headers["link"]
    assert len({each["id"] for each in seen}) == len(seen) == 107
    assert seen[0]["text"] == "The token “<b>notebook 104</b>” was made"
    assert seen[0]["address"] == "203.0.113.7"
    assert [each["event"] for each in seen[-2:]] == ["signed_in", "user_added"]
    assert "of ben" not in str(seen)
    csv = ana.get(AUDIT, headers={"accept": "text/csv"})
    assert csv.text.splitlines()[0] == "id,at,event,text,address"
    assert len(csv.text.splitlines()) == 1 + 50

    page = ana.get(PAGE, headers=HTML)
    assert page.status_code == 200
    assert page.text.count("<tr>") == 101
    assert "&lt;b&gt;notebook 104&lt;/b&gt;" in page.text
    assert "<b>notebook" not in page.text
    older = page.text.partition(f'href="{PAGE}?cursor=')[2].partition('"')[0]
    second = ana.get(f"{PAGE}?cursor={older}", headers=HTML)
    assert second.text.count("<tr>") == 8
    assert "of ben" not in page.text + second.text
    assert site.browser("ben").get(AUDIT, params={"cursor": cursor or older}).status_code == 422

    program = site.program("ana")
    assert program.get(AUDIT).json()["type"] == "urn:myi:problem:browser-only"
    assert site.visitor().get(AUDIT).status_code == 401
