"""Browsers that are signed in, and access tokens: what a user sees and ends of both."""

from __future__ import annotations

import time

from myi_pipeline.api.security.known_visitors import REMEMBERED_S
from tests.integration.api.conftest import RunningSite

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

    assert ana.get(TOKENS).json() == {"tokens": []}
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
