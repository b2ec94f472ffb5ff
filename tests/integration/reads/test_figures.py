"""Figures against the marts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import pytest

from myi_pipeline.postgres.connections import Role
from myi_pipeline.web.api import models
from myi_pipeline.web.reads.spans import FIRST_DAY, LAST_DAY
from myi_pipeline.web.reads.sql_files import load_sql
from tests.integration.reads.conftest import ZONES, Api, Filled

SUMS = "sum(plays)::int, sum(counted_plays)::int, sum(ms_played)::bigint"


def test_me_is_who_holds_the_token(api: Api) -> None:
    answer = models.Me.model_validate(api.read("/v1/me"))
    assert (answer.user_key, answer.display_name, answer.time_zone) == ("ada", "Ada", "Europe/Berlin")
    assert answer.version is not None
    assert answer.refreshed_at is not None
    assert api.get("/v1/me", as_="bob").json()["user_key"] == "bob"


def test_the_summary_adds_up_and_knows_what_today_is(api: Api, filled: Filled) -> None:
    answer = models.Summary.model_validate(api.read("/v1/me/summary"))
    spans = {span.name: span for span in answer.data}
    assert list(spans) == ["today", "week", "month", "year", "all"]
    plays, days, first, last = filled.read(
        "select sum(plays)::int, count(*)::int, min(local_date), max(local_date) from marts.agg_day_user"
        " where user_id = %s",
        filled.users["ada"],
    )[0]
    whole = spans["all"]
    assert (whole.plays, whole.days, whole.first_heard, whole.last_heard) == (plays, days, first, last)
    assert spans["today"].first_day == spans["today"].last_day == answer.today
    assert spans["today"].plays == 0


def test_ten_figures_are_those_that_a_few_lines_find_in_the_archive(api: Api, filled: Filled) -> None:
    """From the ZIP and its JSON alone, with no code of the import, of the marts or of the API."""
    rows = set()
    with ZipFile(filled.archives["ada"]) as archive:
        for name in archive.namelist():
            if "Streaming_History" in name and name.endswith(".json"):
                # The same entry twice is one play.
                rows |= {json.dumps(row, sort_keys=True) for row in json.loads(archive.read(name))}
    heard = [json.loads(row) for row in rows]
    berlin = ZoneInfo("Europe/Berlin")
    # A few entries do not say how long: they are plays without time.
    heard = [{**row, "ms_played": row.get("ms_played") or 0} for row in heard]
    ended = [datetime.fromisoformat(row["ts"].replace("Z", "+00:00")).astimezone(berlin) for row in heard]
    by_day, by_year, by_hour = Counter[date](), Counter[int](), Counter[int]()
    artists, ms_of = Counter[str](), Counter[str]()
    for row, end in zip(heard, ended, strict=True):
        at = end
        by_day[at.date()] += row["ms_played"]
        by_year[at.year] += row["ms_played"]
        # An hour and more lies in the hours in which it was heard, all else in that in which it ended.
        left = row["ms_played"]
        if left <= 3_600_000:
            by_hour[at.hour] += left
            left = 0
        while left > 0:
            in_hour = (at.minute * 60 + at.second) * 1000 + at.microsecond // 1000 or 3_600_000
            part = min(left, in_hour)
            by_hour[(at - timedelta(milliseconds=1)).hour] += part
            left, at = left - part, (at.astimezone(UTC) - timedelta(milliseconds=part)).astimezone(berlin)
        artist = row["master_metadata_album_artist_name"]
        if artist is not None and row["spotify_track_uri"] is not None:
            artists[artist] += row["ms_played"] >= 30_000
            ms_of[artist] += row["ms_played"]
    longest, run = 0, 0
    for day in sorted(by_day):
        run = run + 1 if day - timedelta(days=1) in by_day else 1
        longest = max(longest, run)
    top = sorted(artists, key=lambda name: (-artists[name], -ms_of[name]))[:3]

    whole = {span["name"]: span for span in api.read("/v1/me/summary")["data"]}["all"]
    assert whole["plays"] == len(heard)
    assert whole["ms_played"] == sum(by_day.values())
    assert whole["days"] == len(by_day)
    assert whole["first_heard"] == min(by_day).isoformat()
    assert api.read("/v1/me/streaks")["longest"]["days"] == longest
    years = {row["first_day"][:4]: row["ms_played"] for row in api.read("/v1/me/timeline", grain="year")["data"]}
    assert max(years, key=years.__getitem__) == str(max(by_year, key=by_year.__getitem__))
    listed = api.read("/v1/me/top/artists", limit=3)["data"]
    assert [row["name"] for row in listed] == top
    assert listed[0]["ms_played"] == ms_of[top[0]]
    hours = Counter[int]()
    for row in api.read("/v1/me/clock")["data"]:
        hours[row["hour"]] += row["ms_played"]
    assert hours.most_common(1) == by_hour.most_common(1)
    days = [row for page in api.pages("/v1/me/timeline", grain="day", limit=500) for row in page]
    busiest = max(days, key=lambda row: row["ms_played"])
    assert (busiest["first_day"], busiest["ms_played"]) == (
        max(by_day, key=by_day.__getitem__).isoformat(), max(by_day.values()),
    )  # fmt: skip


@pytest.mark.parametrize("grain", ["day", "week", "month", "year"])
def test_every_grain_of_the_timeline_has_all_plays(api: Api, filled: Filled, grain: str) -> None:
    rows = [row for page in api.pages("/v1/me/timeline", grain=grain, limit=100) for row in page]
    (expected,) = filled.read(f"select {SUMS} from marts.agg_day_user where user_id = %s", filled.users["ada"])
    assert tuple(sum(row[name] for row in rows) for name in ("plays", "counted_plays", "ms_played")) == expected
    truncated = filled.read(
        f"select distinct date_trunc('{grain}', local_date::timestamp)::date::text from marts.agg_day_user"
        " where user_id = %s order by 1",
        filled.users["ada"],
    )
    assert [row["starts_on"] for row in rows] == [day for (day,) in truncated]


def test_a_bucket_at_the_end_of_a_span_holds_what_lies_inside(api: Api, filled: Filled) -> None:
    rows = api.read("/v1/me/timeline", grain="year", **{"from": "2023-03-05", "to": "2023-03-20"})["data"]
    (expected,) = filled.read(
        "select sum(plays)::int from marts.agg_day_user where user_id = %s and local_date between %s and %s",
        filled.users["ada"], "2023-03-05", "2023-03-20",
    )  # fmt: skip
    assert [(row["starts_on"], row["plays"]) for row in rows] == [("2023-01-01", *expected)]


def test_the_clock_has_all_plays_by_weekday_and_hour(api: Api, filled: Filled) -> None:
    for query, condition in (
        ({}, "true"),
        ({"period": "year", "date": "2023-07-07"}, "local_date between '2023-01-01' and '2023-12-31'"),
    ):
        answer = models.Clock.model_validate(api.read("/v1/me/clock", **query))
        expected = filled.read(
            "select extract(isodow from local_date)::int, local_hour::int, count(*)::int from marts.fct_plays"
            f" where user_id = %s and {condition} group by 1, 2 order by 1, 2",
            filled.users["ada"],
        )
        # A long play is counted in the hour in which it ended, and heard in those before it.
        counted = [(cell.weekday, cell.hour, cell.plays) for cell in answer.data if cell.plays]
        assert counted == expected
        assert all(cell.plays or cell.ms_played for cell in answer.data)


def test_sums_of_any_span_are_sums_of_its_days_and_hours(filled: Filled) -> None:
    """Months, years and weeks come from rows of their own, ends of spans from days: each day counts once."""
    ada = filled.users["ada"]
    days = filled.read(
        "select local_date, plays, counted_plays, ms_played from marts.agg_day_user where user_id = %s", ada
    )
    hours = filled.read("select local_date, local_hour, plays from marts.agg_hour_user where user_id = %s", ada)
    dice = Random(5)
    first, last = min(row[0] for row in days), max(row[0] for row in days)
    corners = [
        FIRST_DAY,
        LAST_DAY,
        first,
        last,
        *(date(year, month, 1) for year in (2022, 2023) for month in (1, 2, 12)),
    ]
    corners += [day - timedelta(days=1) for day in corners[4:]]
    corners += [first + timedelta(days=dice.randrange((last - first).days)) for _ in range(8)]
    spans = [tuple(sorted(dice.choices(corners, k=2))) for _ in range(60)]
    starts: dict[str, Callable[[date], date]] = {
        "day": lambda day: day,
        "week": lambda day: day - timedelta(days=day.weekday()),
        "month": lambda day: day.replace(day=1),
        "year": lambda day: day.replace(month=1, day=1),
    }
    with filled.warehouse.connect(Role.API) as connection:
        connection.execute("select set_config('app.user_id', %s, false)", (str(ada),))

        def ask(name: str, **values: object) -> list[tuple[Any, ...]]:
            return connection.execute(load_sql(name), {"user_id": ada, **values}).fetchall()

        for begin, end in spans:
            inside = [row for row in days if begin <= row[0] <= end]
            ((_, _, _, count, *sums, _, heard_first, heard_last),) = ask(
                "summary", names=["x"], first_days=[begin], last_days=[end]
            )
            assert (count, *sums) == (len(inside), *(sum(row[n] for row in inside) for n in (1, 2, 3))), (begin, end)
            assert (heard_first, heard_last) == (
                min((row[0] for row in inside), default=None), max((row[0] for row in inside), default=None)
            )  # fmt: skip
            cells = Counter[tuple[int, int]]()
            for day, hour, plays in hours:
                cells[day.isoweekday(), hour] += plays if begin <= day <= end else 0
            found = ask("clock", first_day=begin, last_day=end)
            assert {(row[0], row[1]): row[2] for row in found if row[2]} == +cells, (begin, end)
            for grain, start in starts.items():
                buckets = Counter[date]()
                for row in inside:
                    buckets[start(row[0])] += row[1]
                after = dice.choice([FIRST_DAY, *buckets])
                rows = ask(
                    "timeline", grain=grain, first_day=begin, last_day=end, after_starts_on=after, limit=10_000
                )  # fmt: skip
                expected = [(day, buckets[day]) for day in sorted(buckets) if day > after]
                assert [(row[0], row[2]) for row in rows] == expected, (grain, begin, end, after)


def test_streaks_name_the_longest_and_the_one_that_goes_on(api: Api, filled: Filled) -> None:
    answer = models.StreakList.model_validate(api.read("/v1/me/streaks"))
    (longest,) = filled.read("select max(days) from marts.agg_streaks where user_id = %s", filled.users["ada"])
    assert answer.longest is not None
    assert (answer.longest.days,) == longest
    assert answer.current is None
    yesterday = datetime.now(ZoneInfo(ZONES["ada"])).date() - timedelta(days=1)
    filled.sql(
        "insert into marts.agg_streaks values (%s, %s, %s, 2, 5)",
        filled.users["ada"],
        yesterday - timedelta(days=1),
        yesterday,
    )
    try:
        current = models.StreakList.model_validate(api.read("/v1/me/streaks", limit=1)).current
        assert current is not None
        assert current.days == 2
    finally:
        filled.sql("delete from marts.agg_streaks where streak_end = %s", yesterday)


def test_ranks_are_the_last_list_up_to_a_day_or_the_days_of_one(api: Api) -> None:
    latest = models.Ranks.model_validate(api.read("/v1/me/ranks", kind="artist", term="short_term"))
    assert {str(rank.snapshot_date) for rank in latest.data} == {"2024-06-03"}
    assert [rank.rank for rank in latest.data] == list(range(1, len(latest.data) + 1))
    first = api.read("/v1/me/ranks", kind="artist", term="short_term", date="2024-06-01")["data"]
    assert len(first) > len(latest.data)
    assert api.read("/v1/me/ranks", kind="artist", term="short_term", date="2024-05-31")["data"] == []
    one = api.read("/v1/me/ranks", kind="artist", term="short_term", id=latest.data[0].id)["data"]
    assert [row["snapshot_date"] for row in one] == ["2024-06-03", "2024-06-02", "2024-06-01"]
    assert {row["id"] for row in one} == {latest.data[0].id}


def test_coverage_tells_gaps_unknown_times_and_the_logins_end(api: Api, filled: Filled) -> None:
    answer = models.Coverage.model_validate(api.read("/v1/me/coverage"))
    gaps = filled.read(
        "select gap_start, gap_end, reason, is_evident from marts.fct_coverage_gaps where user_id = %s order by 1",
        filled.users["ada"],
    )
    assert [(gap.gap_start, gap.gap_end, gap.reason, gap.is_evident) for gap in answer.data] == gaps
    assert len(gaps) > 0
    spans = filled.read(
        "select kind, covered_from, covered_to from marts.fct_covered_spans where user_id = %s", filled.users["ada"]
    )
    assert sorted((span.kind, span.covered_from, span.covered_to) for span in answer.covered) == sorted(spans)
    assert answer.covered[0].kind == "music"
    assert answer.login is None
    filled.sql(
        "insert into app.credentials (user_id, client_id, account_key, refresh_token, authorised_at, refreshed_at)"
        " values (%s, 'c', 'id:ada', repeat('x', 40)::bytea, now() - interval '5 months', now())",
        filled.users["ada"],
    )
    try:
        response = api.get("/v1/me/coverage")
        login = models.Coverage.model_validate(response.json()).login
        assert login is not None
        assert login.status == "active"
        assert 25 <= login.days_left <= 32
        assert "xxxx" not in response.text
    finally:
        filled.sql("delete from app.credentials")
