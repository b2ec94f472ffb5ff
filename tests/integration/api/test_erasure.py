"""Asking to be erased, through the API and on the page: only with one's own key, only in a browser, and the receipt."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

from myi_pipeline.operations.erase_users import carry_out_due
from myi_pipeline.operations.remove_users import finish_removals
from myi_pipeline.web.security.visitors import REMEMBERED_S
from tests.integration.api.conftest import RunningSite

ERASURE, PAGE = "/v1/me/erasure", "/account/erase"
PEOPLE = {"accept": "text/html"}


def carry_out(site: RunningSite, *, days: int = 0) -> None:
    now = datetime.now(UTC) + timedelta(days=days)
    carry_out_due(site.warehouse, site.settings, now=now)
    assert finish_removals(site.warehouse, site.settings, partition_keys=()) == ()


def test_the_api_previews_takes_a_wish_and_forgets_the_user(site: RunningSite) -> None:
    ana, ben, program = site.browser("ana"), site.browser("ben"), site.program("ana")
    ana.post("/v1/me/tokens", json={"name": "notebook"})
    state = program.get(ERASURE).json()
    assert {each["what"]: each["count"] for each in state["would_go"]}["access tokens"] == 2
    assert (state["asked"], state["grace_days"]) == (None, 0)
    # A token reads; nobody types another's key.
    assert program.post(ERASURE, json={"confirmation": "ana"}).status_code == 403
    assert program.delete(ERASURE).status_code == 403
    refused = ana.post(ERASURE, json={"confirmation": "ben"})
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:myi:problem:invalid-request")
    assert ana.delete(ERASURE).status_code == 404
    assert site.sql("select count(*) from app.erasure_requests") == [(0,)]

    asked = ana.post(ERASURE, json={"confirmation": "ana"})
    assert asked.status_code == 202
    assert ana.post(ERASURE, json={"confirmation": "ana"}).json() == asked.json()
    assert ana.get(ERASURE).json()["asked"] == asked.json()
    assert ben.get(ERASURE).json()["asked"] is None
    assert ben.delete(ERASURE).status_code == 404
    carry_out(site)

    assert site.sql("select user_key from app.users") == [("ben",)]
    assert site.sql("select count(*) from app.audit where user_key = 'ana' or detail::text like '%ana%'") == [(0,)]
    # The browser that had the session is not taken for somebody who guesses.
    page = ana.get(f"/erasures/{asked.json()['receipt_id']}", headers=PEOPLE)
    assert "Nothing is left" in page.text
    assert "myi_session" in page.headers["set-cookie"]
    assert site.sql("select count(*) from app.audit where event = 'wrong_credential'") == [(0,)]
    assert ben.get(ERASURE).status_code == 200


def test_the_page_shows_what_goes_wants_the_key_and_leads_to_a_receipt_that_is_open(site: RunningSite) -> None:
    ana, stranger = site.browser("ana"), site.browser(None)
    assert PAGE in ana.get("/account", headers=PEOPLE).text
    page = ana.get(PAGE, headers=PEOPLE)
    assert "What goes" in page.text
    assert "Signed-in browsers" in page.text
    wrong = ana.post(PAGE, data={"confirmation": "<script>"}, headers=PEOPLE)
    assert wrong.status_code == 422
    assert "type your user name, ana" in wrong.text
    assert site.sql("select count(*) from app.erasure_requests") == [(0,)]

    sent = ana.post(PAGE, data={"confirmation": " ana "}, headers=PEOPLE)
    assert sent.status_code == 303
    receipt = sent.headers["location"]
    assert re.fullmatch(r"/erasures/[0-9a-f]{24}", receipt)
    assert "is being erased" in stranger.get(receipt, headers=PEOPLE).text
    carry_out(site)
    shown = stranger.get(receipt, headers=PEOPLE)
    assert "Nothing is left" in shown.text
    assert "ana" not in re.sub(r"<[^>]*>", " ", shown.text).split()
    assert shown.headers["referrer-policy"] == "no-referrer"
    for wrong_number in ("0" * 24, "x", "0" * 25):
        assert stranger.get(f"/erasures/{wrong_number}", headers=PEOPLE).status_code == 404
    # Whoever was seen a moment ago is known for as long.
    time.sleep(REMEMBERED_S)
    assert ana.get("/account", headers=PEOPLE).status_code == 303


def test_with_a_period_of_grace_a_person_can_stay(site: RunningSite) -> None:
    site.sql(
        "insert into app.erasure_requests (user_id, receipt_id, due_at)"
        " values (%s, '0123456789abcdef01234567', now() + interval '3 days')",
        site.user("ana"),
    )
    ana = site.browser("ana")
    page = ana.get(PAGE, headers=PEOPLE).text
    assert "Keep my account" in page
    assert "will be erased" in site.browser(None).get("/erasures/0123456789abcdef01234567", headers=PEOPLE).text
    assert ana.post(f"{PAGE}/withdraw", headers=PEOPLE).headers["location"] == "/account?done=not-erased"
    assert ana.post(f"{PAGE}/withdraw", headers=PEOPLE).status_code == 422
    carry_out(site, days=9)
    assert site.sql("select user_key from app.users") == [("ana",)]
    assert "The wish to erase everything was withdrawn" in ana.get("/account", headers=PEOPLE).text
