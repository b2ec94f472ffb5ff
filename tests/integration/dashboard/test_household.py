"""Two listeners who agree see what each shows the other, and nobody sees anything without an agreement."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import psycopg
import pytest

from myi_pipeline.postgres.connections import Role
from tests.integration.dashboard.conftest import Browser, Dora, check_form, read_page
from tests.integration.reads.conftest import Filled

PARTS = {"overview": "part_overview", "tops": "part_tops", "common": "part_common"}


@pytest.fixture(autouse=True)
def nothing_is_left(filled: Filled) -> Iterator[None]:
    yield
    filled.sql("delete from app.agreements")


def send(browser: Browser, path: str, *parts: str, as_: str = "ada", **form: str) -> httpx.Response:
    return browser.clients[as_].post(path, data={**{PARTS[part]: "yes" for part in parts}, **form})


def newest(filled: Filled) -> int:
    ((number,),) = filled.sql("select max(agreement_id) from app.agreements")
    return int(number)


def agree(browser: Browser, filled: Filled, *, ada: tuple[str, ...], bob: tuple[str, ...]) -> str:
    """Where each of the two sees the other."""
    assert send(browser, "/household", *ada, user_key="bob").status_code == 303
    number = newest(filled)
    assert send(browser, f"/household/{number}/accept", *bob, as_="bob").status_code == 303
    return f"/household/{number}"


def top_artist(filled: Filled, key: str) -> str:
    query = (
        "select a.name from marts.agg_period_artists as p inner join marts.dim_artists as a using (artist_id)"
        " where p.user_id = %s and p.period = 'all'"
        " order by p.counted_plays desc, p.ms_played desc, p.artist_id limit 1"
    )
    ((name,),) = filled.read(query, filled.users[key])
    return str(name)


def test_nothing_is_seen_before_both_agree_and_after_either_ended_it(
    browser: Browser, filled: Filled, dora: Dora
) -> None:
    assert send(browser, "/household", "overview", "tops", user_key="bob").status_code == 303
    here = f"/household/{newest(filled)}"
    for key in ("ada", "bob"):
        assert browser.get(here, as_=key).status_code == 404
        check_form(browser.page("/household", as_=key))
    assert "Ada invites you" in browser.page("/household", as_="bob").text
    # Nobody accepts for another, nor in a name of their own that was not invited.
    assert send(browser, f"{here}/accept", "tops").status_code == 404
    assert dora.post(f"{here}/accept", part_tops="yes").status_code == 404
    assert send(browser, f"{here}/choose", "tops", as_="bob").status_code == 404
    assert browser.get(here).status_code == 404

    assert send(browser, f"{here}/accept", "overview", as_="bob").status_code == 303
    for key, other, parts in (("ada", "Bob", {"tiles"}), ("bob", "Ada", {"tiles", "lists"})):
        page = browser.page(here, as_=key)
        check_form(page)
        assert page.heading == other
        assert bool(page.tiles()) == ("tiles" in parts)
        assert bool(page.main.all("ol", class_="ranking")) == ("lists" in parts)
    ((plays,),) = filled.read("select count(*) from marts.fct_plays where user_id = %s", filled.users["bob"])
    assert browser.page(here).tiles()["Plays"] == f"{plays:,}"
    assert top_artist(filled, "ada") in browser.page(here, as_="bob").text
    for path in (here, f"{here}/end", f"{here}/choose"):
        answer = dora.client.get(path) if path == here else dora.post(path, part_tops="yes")
        assert answer.status_code == 404, path
    assert "Ada" not in dora.page("/household").text

    ended = send(browser, f"{here}/end", as_="bob")
    assert ended.headers["location"] == "/household?done=ended"
    for key in ("ada", "bob"):
        assert browser.get(here, as_=key).status_code == 404
        text = browser.page("/account", as_=key).text
        assert "agreed to see each other’s figures" in text
        assert "agreement to see each other’s figures, or an invitation to it, was ended" in text
    assert filled.sql("select count(*) from app.agreements") == [(0,)]


def test_each_shows_what_they_chose_and_changes_it_at_any_moment(browser: Browser, filled: Filled) -> None:
    here = agree(browser, filled, ada=("tops",), bob=("common",))
    page = browser.page(here, as_="bob")
    assert page.tiles() == {}
    assert len(page.main.all("ol", class_="ranking")) == 3
    # Names alone: counts are of the overview.
    assert page.main.all("span", class_="much") == []
    # What both love takes both.
    assert "What you both love" not in [each.text for each in page.main.all("h2")]
    assert "is visible if both of you show it" in browser.page(here).text
    assert browser.page(here).main.all("ol") == []

    assert send(browser, f"{here}/choose", "common").status_code == 303
    mine, theirs = browser.page(here), browser.page(here, as_="bob")
    for page in (mine, theirs):
        check_form(page)
        assert page.main.all("ol", class_="ranking") == []
        assert [each.text for each in page.main.all("h2")] == ["What you both love"]
    query = (
        "select a.name from marts.agg_period_artists as p inner join marts.dim_artists as a using (artist_id)"
        " where p.period = 'all' and p.counted_plays > 0 group by a.name, a.artist_id having count(*) = 2"
    )
    both = {name for (name,) in filled.read(query)}
    told = [item.text for item in mine.main.one("section", aria_labelledby="common-artists").all("li")]
    assert told
    assert set(told) <= both
    assert set(told) == {i.text for i in theirs.main.one("section", aria_labelledby="common-artists").all("li")}
    assert send(browser, f"{here}/choose").status_code == 422
    assert "choose at least one thing" in read_page(send(browser, f"{here}/choose"), 422).text.lower()


def test_an_invitation_by_link_is_taken_once_by_whoever_opens_it_first(
    browser: Browser, filled: Filled, dora: Dora
) -> None:
    made = read_page(send(browser, "/household", "tops", by="link"), 200)
    check_form(made)
    link = made.main.one("code", class_="secret").text.removeprefix(filled.settings.site_url)
    assert link.rpartition("/")[2] not in browser.page("/household").text
    # Looking at it takes nothing, and its maker cannot take it.
    check_form(browser.page(link, as_="bob"))
    assert send(browser, link).status_code == 404
    taken = send(browser, link, as_="bob")
    assert taken.headers["location"] == "/household?done=claimed"
    assert "Ada invites you" in browser.page("/household", as_="bob").text
    assert dora.post(link).status_code == 404
    assert send(browser, link, as_="bob").status_code == 404
    assert browser.clients[None].get(link).headers["location"].startswith("/sign-in")
    assert send(browser, f"/household/{newest(filled)}/accept", "tops", as_="bob").status_code == 303

    # There is one agreement of two.
    again = read_page(send(browser, "/household", "tops", user_key="bob"), 422)
    assert "have an agreement or an invitation already" in again.text
    second = read_page(send(browser, "/household", "tops", by="link"), 200)
    link = second.main.one("code", class_="secret").text.removeprefix(filled.settings.site_url)
    assert send(browser, link, as_="bob").status_code == 404


def test_what_another_shows_is_of_a_week_at_least(browser: Browser, filled: Filled) -> None:
    here = agree(browser, filled, ada=("overview", "tops", "common"), bob=("overview", "tops", "common"))
    ((day,),) = filled.read(
        "select max(played_at)::date::text from marts.fct_plays where user_id = %s", filled.users["bob"]
    )
    for days in (f"from={day}&to={day}", f"from={day}", f"to={day}", "from=2020-01-01&to=2023-12-31"):
        assert browser.get(f"{here}?{days}").status_code == 422, days
    for period in ("week", "month", "year"):
        page = browser.page(f"{here}?period={period}&date={day}")
        check_form(page)
        assert page.main.all("input", type="date") == []
        assert page.tiles()["Plays"], period


def test_of_whoever_has_not_agreed_the_inviter_learns_nothing(browser: Browser, filled: Filled) -> None:
    assert send(browser, "/household", "tops", user_key="bob").status_code == 303
    text = browser.page("/household").text
    assert "bob" in text
    assert "Bob" not in text
    assert send(browser, f"/household/{newest(filled)}/end").status_code == 303
    made = read_page(send(browser, "/household", "tops", by="link"), 200)
    link = made.main.one("code", class_="secret").text.removeprefix(filled.settings.site_url)
    assert send(browser, link, as_="bob").status_code == 303
    text = browser.page("/household").text
    assert "bob" not in text.lower()
    assert "Ada invites you" in browser.page("/household", as_="bob").text


def test_an_invitation_that_is_wrong_or_too_old_is_none(browser: Browser, filled: Filled) -> None:
    for form, reason in (
        ({"user_key": "nobody-of-this-name"}, "nobody here with that user name"),
        ({"user_key": "ada"}, "takes two"),
        ({}, "enter whom you invite"),
    ):
        page = read_page(send(browser, "/household", "tops", **form), 422)
        check_form(page)
        assert reason in page.text.lower() or reason.capitalize() in page.text, form
    assert send(browser, "/household", user_key="bob").status_code == 422
    assert filled.sql("select count(*) from app.agreements") == [(0,)]
    assert send(browser, "/household", "tops", user_key="bob").status_code == 303
    filled.sql("update app.agreements set invited_at = now() - interval '15 days', expires_at = now() - interval '1 s'")
    assert "invites you" not in browser.page("/household", as_="bob").text
    assert send(browser, f"/household/{newest(filled)}/accept", "tops", as_="bob").status_code == 404
    # Its place is free for another.
    assert send(browser, "/household", "tops", user_key="ada", as_="bob").status_code == 303
    for path in ("/household/x", "/household/0", "/household/99999999", "/household/invitations/short"):
        assert browser.get(path).status_code == 404, path


def test_the_database_itself_shows_agreements_to_the_two_alone_and_lets_nobody_agree_for_another(
    browser: Browser, filled: Filled, dora: Dora
) -> None:
    assert send(browser, "/household", "tops", user_key="bob").status_code == 303
    number, ada, bob = newest(filled), filled.users["ada"], filled.users["bob"]

    def run(user_id: int | str, query: str, *values: object) -> int:
        with filled.warehouse.connect(Role.APP) as connection:
            connection.execute("select set_config('app.user_id', %s, true)", (str(user_id),))
            return connection.execute(query.encode(), values).rowcount

    for user_id, rows in ((ada, 1), (bob, 1), (dora.user_id, 0), ("", 0)):
        assert run(user_id, "select * from app.agreements") == rows, user_id
    accept = "update app.agreements set invitee_parts = '{tops}', accepted_at = now() where agreement_id = %s"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(ada, accept, number)
    assert run(dora.user_id, accept, number) == 0
    widen = "update app.agreements set inviter_parts = '{tops,overview}' where agreement_id = %s"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(bob, widen, number)
    invite = (
        "insert into app.agreements (inviter_id, invitee_id, inviter_parts, invited_at, expires_at, accepted_at,"
        " invitee_parts) values (%s, %s, '{tops}', now(), now() + interval '1 day', %s, %s)"
    )
    for inviter, invitee, accepted, parts in (
        (bob, dora.user_id, None, None), (dora.user_id, bob, "2024-03-09", ["tops"]),
        (dora.user_id, bob, None, ["tops"]),
    ):  # fmt: skip
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.CheckViolation)):
            run(dora.user_id, invite, inviter, invitee, accepted, parts)
    for column in ("inviter_id", "invitee_id", "link_hash"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(bob, f"update app.agreements set {column} = null")
    assert run(bob, accept, number) == 1


def test_an_agreement_goes_with_either_of_the_two(browser: Browser, filled: Filled, dora: Dora) -> None:
    assert dora.post("/household", part_tops="yes", user_key="ada").status_code == 303
    assert send(browser, f"/household/{newest(filled)}/accept", "tops").status_code == 303
    share = "insert into app.shares values ('AAAAAAAAAAAA', %s, 'year', 'x', '{}', now(), null, null, false, 0)"
    filled.sql(share, dora.user_id)
    filled.sql("delete from app.users where user_key = 'dora'")
    assert filled.sql("select count(*) from app.agreements") == [(0,)]
    assert filled.sql("select count(*) from app.shares") == [(0,)]
