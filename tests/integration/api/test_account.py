"""Browsers that are signed in, and access tokens: what a user sees and ends of both."""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, datetime, timedelta

from myi_pipeline.operations.maintenance import maintain
from myi_pipeline.web.security.visitors import REMEMBERED_S
from tests.integration.api.conftest import RunningSite
from tests.integration.api.sign_ins import make_link, use_link

SIGN_INS, TOKENS = "/v1/me/sign-ins", "/v1/me/tokens"


def test_a_browser_sees_its_sign_ins_and_ends_another_one_at_once(site: RunningSite) -> None:
    here, there = site.browser(), site.browser()
    assert there.get(SIGN_INS).status_code == 200
    listed = here.get(SIGN_INS).json()["sign_ins"]
    assert [each["is_this"] for each in listed].count(True) == 1
    (other,) = [each for each in listed if not each["is_this"]]

    assert here.delete(f"{SIGN_INS}/{other['session_id']}").status_code == 204

    assert there.get(SIGN_INS).status_code == 401
    assert here.get(SIGN_INS).status_code == 200
    assert here.delete(f"{SIGN_INS}/{other['session_id']}").status_code == 404


def test_another_users_sign_ins_and_tokens_do_not_exist(site: RunningSite) -> None:
    ana, ben = site.browser("ana"), site.browser("ben")
    made = ben.post(TOKENS, json={"name": "ben's"}).json()
    (bens,) = ben.get(SIGN_INS).json()["sign_ins"]

    assert ana.get(TOKENS).json() == {"data": [], "tokens": [], "next": None}
    assert len(ana.get(SIGN_INS).json()["sign_ins"]) == 1
    assert ana.delete(f"{TOKENS}/{made['token_id']}").status_code == 404
    assert ana.delete(f"{SIGN_INS}/{bens['session_id']}").status_code == 404

    assert len(ben.get(TOKENS).json()["tokens"]) == 1
    assert ben.get(SIGN_INS).status_code == 200


def test_a_token_is_shown_once_and_kept_as_a_hash(site: RunningSite) -> None:
    made = site.browser().post(TOKENS, json={"name": "notebook", "days": 30})
    assert made.status_code == 201
    token = made.json()["token"]
    assert token.startswith("myi_")

    assert token not in str(site.browser().get(TOKENS).json())
    stored = str(site.sql("select t::text from app.access_tokens as t"))
    assert token not in stored
    assert token.removeprefix("myi_") not in stored


def test_a_token_reads_and_does_nothing_else(site: RunningSite) -> None:
    program = site.program()
    for method, path in (("POST", TOKENS), ("DELETE", f"{TOKENS}/1"), ("DELETE", f"{SIGN_INS}/1")):
        answer = program.request(method, path, headers={"sec-fetch-site": "same-origin"}, json={"name": "x"})
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:myi:problem:read-only-token")
    assert program.get(TOKENS).json()["type"] == "urn:myi:problem:browser-only"


def test_a_revoked_token_is_refused_at_once_here_and_within_a_second_when_a_command_revoked_it(
    site: RunningSite,
) -> None:
    browser = site.browser()
    tokens = [browser.post(TOKENS, json={"name": name}).json() for name in ("one", "two")]
    programs = [site.visitor(authorization=f"Bearer {each['token']}") for each in tokens]
    # What a program may read is for other tests: known or not is the question.
    assert {program.get(TOKENS).status_code for program in programs} == {403}

    browser.delete(f"{TOKENS}/{tokens[0]['token_id']}")
    assert programs[0].get(TOKENS).status_code == 401

    site.sql("update app.access_tokens set revoked_at = now() where name = 'two'")
    time.sleep(REMEMBERED_S + 0.05)
    assert programs[1].get(TOKENS).status_code == 401


def test_a_token_lives_for_the_days_it_is_given_and_a_year_without(site: RunningSite) -> None:
    browser = site.browser()
    for given, days in (({}, 365), ({"days": None}, 365), ({"days": 30}, 30), ({"days": 3650}, 3650)):
        made = browser.post(TOKENS, json={"name": "x", **given}).json()
        lives = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
        assert lives == timedelta(days=days)
    # Those that older versions made go on until they are revoked.
    token = site.token()
    site.sql("update app.access_tokens set expires_at = null")
    assert site.visitor(authorization=f"Bearer {token}").get(TOKENS).status_code == 403


def test_a_person_ends_all_but_this_sign_in(site: RunningSite) -> None:
    here, there, program, ben = site.browser(), site.browser(), site.program(), site.browser("ben")
    link = make_link(site)
    assert {visitor.get(SIGN_INS).status_code for visitor in (here, there, ben)} == {200}

    assert here.post("/account/sign-ins/end-others").headers["location"] == "/account?done=others-ended"

    assert there.get(SIGN_INS).status_code == 401
    assert program.get(TOKENS).status_code == 401
    assert use_link(site.browser(None), link).status_code == 410
    assert here.get(TOKENS).json() == {"data": [], "tokens": [], "next": None}
    assert len(here.get(SIGN_INS).json()["sign_ins"]) == 1
    assert ben.get(SIGN_INS).status_code == 200


def test_what_happened_is_on_the_page_of_whom_it_concerns(site: RunningSite) -> None:
    ana, ben = site.browser("ana"), site.browser("ben")
    made = ana.post(TOKENS, json={"name": "<b>notebook</b>"}).json()
    ana.delete(f"{TOKENS}/{made['token_id']}")
    ben.post("/sign-out")
    make_link(site, "ana")

    page = ana.get("/account").text
    for told in ("The token “&lt;b&gt;notebook&lt;/b&gt;” was made", "was revoked", "A one-time link was made",
                 "signed in by a link", "127.0.0.1"):  # fmt: skip
        assert told in page
    assert "was signed out" not in page
    assert "was made" not in site.browser("ben").get("/account").text
    assert site.sql("select event, user_key, address from app.audit where event in ('token_made', 'signed_out')") == [
        ("token_made", "ana", "127.0.0.1"), ("signed_out", "ben", "127.0.0.1"),
    ]  # fmt: skip


def test_what_has_ended_is_pruned_by_maintenance_and_what_is_good_stays(site: RunningSite) -> None:
    good, token = site.browser("ben"), site.program("ben")
    for _ in range(2):
        site.session("ana"), site.token("ana")
    make_link(site, "ana"), make_link(site, "ben")
    site.sql("update app.sessions set last_seen_at = now() - interval '15 days' where session_id = 2")
    site.sql("update app.sessions set created_at = now() - interval '91 days' where session_id = 3")
    site.sql("update app.access_tokens set revoked_at = now() where token_id = 2")
    site.sql("update app.access_tokens set expires_at = now() where token_id = 3")
    site.sql("update app.sign_in_links set expires_at = now() where user_id = %s", site.user("ana"))
    maintain(site.warehouse, today=datetime.now(UTC).date(), quarantine_days=30)
    assert site.sql("select session_id from app.sessions") == [(1,)]
    assert site.sql("select token_id from app.access_tokens") == [(1,)]
    assert site.sql("select user_id from app.sign_in_links") == [(site.user("ben"),)]
    assert good.get(SIGN_INS).status_code == 200
    assert token.get(TOKENS).status_code == 403


def test_an_expired_token_is_refused(site: RunningSite) -> None:
    token = site.token(days=1)
    site.sql("update app.access_tokens set expires_at = now() - interval '1 second'")
    answer = site.visitor(authorization=f"Bearer {token}").get(TOKENS)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="MYI"'


def test_when_a_token_was_last_used_is_seen(site: RunningSite) -> None:
    site.program().get(TOKENS)
    (token,) = site.browser().get(TOKENS).json()["tokens"]
    assert token["last_used_at"] is not None


def test_a_session_ends_when_idle_and_at_its_age_whatever_happens(site: RunningSite) -> None:
    idle, old, good = site.session(), site.session(), site.browser()
    days = site.settings
    site.sql("update app.sessions set last_seen_at = now() - make_interval(days => %s) where session_id = 1",
             days.session_idle_days)  # fmt: skip
    site.sql("update app.sessions set created_at = now() - make_interval(days => %s) where session_id = 2",
             days.session_days)  # fmt: skip
    for reference in (idle, old):
        browser = site.browser(None)
        browser.cookies.set("myi_session", reference)
        assert browser.get(SIGN_INS).status_code == 401
    assert len(good.get(SIGN_INS).json()["sign_ins"]) == 1


def test_a_session_that_is_used_is_seen_so_it_does_not_end(site: RunningSite) -> None:
    browser = site.browser()
    site.sql("update app.sessions set last_seen_at = now() - interval '13 days'")
    assert browser.get(SIGN_INS).status_code == 200
    assert site.sql("select last_seen_at > now() - interval '1 minute' from app.sessions") == [(True,)]


def test_a_removed_user_is_nobody(site: RunningSite) -> None:
    browser, program = site.browser(), site.program()
    site.sql("delete from app.users")
    assert browser.get(SIGN_INS).status_code == 401
    assert program.get(SIGN_INS).status_code == 401


def test_sign_ins_and_tokens_are_lists_as_all_others_are(site: RunningSite) -> None:
    browser = site.browser()
    browser.post(TOKENS, json={"name": "note, book"})
    for path, older, number in ((SIGN_INS, "sign_ins", "session_id"), (TOKENS, "tokens", "token_id")):
        document = browser.get(path).json()
        assert document["data"] == document[older]
        assert document["next"] is None
        assert [row["id"] for row in document["data"]] == [row[number] for row in document["data"]]
        table = browser.get(path, headers={"accept": "text/csv"})
        assert table.headers["content-type"].startswith("text/csv")
        assert [row["id"] for row in csv.DictReader(io.StringIO(table.text))] == [
            str(row["id"]) for row in document["data"]
        ]
        assert browser.get(path, headers={"accept": "image/png"}).status_code == 406


def test_csv_formula_no_name_of_a_device_or_a_token_is_run_by_a_spreadsheet(site: RunningSite) -> None:
    browser = site.browser()
    formula = "=1+cmd|' /C calc'!A0"
    site.sql("update app.sessions set device = %s", formula)
    browser.post(TOKENS, json={"name": formula})
    for path, column in ((SIGN_INS, "device"), (TOKENS, "name")):
        table = browser.get(path, headers={"accept": "text/csv"}).text
        assert [row[column] for row in csv.DictReader(io.StringIO(table))] == [f"'{formula}"]
