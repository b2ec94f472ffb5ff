"""Coverage in words, and years as bars; devices by their names."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import yaml

from myi_pipeline.web.audit_words import device_name
from myi_pipeline.web.dashboard.coverage import WORDS, groups_of, years_of
from myi_pipeline.web.reads.coverage import GapRow
from tests.architecture.repository import ROOT

NOW = datetime(2024, 7, 1, tzinfo=UTC)


def gap(start: datetime, end: datetime | None, reason: str = "outage", *, is_evident: bool = True) -> GapRow:
    return GapRow(start, end, reason, is_evident)


def test_every_reason_of_the_mart_has_words() -> None:
    text = (ROOT / "dbt_project/models/marts/fct_coverage_gaps.yml").read_text(encoding="utf-8")
    (model,) = yaml.safe_load(text)["models"]
    (described,) = [each["description"] for each in model["columns"] if each["name"] == "reason"]
    named = {word for part in described.split(",") for word in part.strip(" .()").split() if "_" in word}
    assert len(named | {"paused", "outage"}) >= 9
    assert {word.strip("().") for word in named} <= set(WORDS)


def test_what_is_evident_comes_first_and_an_unknown_reason_is_shown_by_its_name() -> None:
    day = timedelta(days=1)
    rows = [
        gap(NOW - 9 * day, NOW - 8 * day, "outage", is_evident=True),
        gap(NOW - 7 * day, None, "polled_only", is_evident=False),
        gap(NOW - 5 * day, NOW - 4 * day, "brand_new"),
        gap(NOW - 3 * day, NOW - 2 * day, "outage"),
    ]
    groups = groups_of(rows)
    assert [(group.reason, group.is_evident, len(group.spans)) for group in groups] == [
        ("outage", True, 2), ("brand_new", True, 1), ("polled_only", False, 1),
    ]  # fmt: skip
    assert groups[1].words.title == "Brand new"
    assert groups[0].spans[0][0] > groups[0].spans[1][0]


def test_years_show_what_is_known_and_no_gap_is_too_short_to_see() -> None:
    rows = [
        gap(datetime(2023, 12, 22, tzinfo=UTC), datetime(2024, 1, 11, tzinfo=UTC)),
        gap(datetime(2024, 6, 30, 23, tzinfo=UTC), None),
        gap(datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC), "polled_only", is_evident=False),
        gap(datetime(2022, 1, 1, tzinfo=UTC), datetime(2022, 2, 1, tzinfo=UTC)),
    ]
    this, last = years_of(rows, first=date(2023, 12, 2), now=NOW, zone=UTC)
    assert (this.year, this.days, this.asked_days, this.known_days) == (2024, 366, 183, 172)
    assert (last.year, last.days, last.asked_days, last.known_days) == (2023, 365, 30, 20)
    assert [part.kind for part in this.parts] == ["known", "gap", "gap", "polled"]
    assert [part.kind for part in last.parts] == ["known", "gap"]
    assert this.parts[2].width == 1.5
    assert all(0 <= part.x <= part.x + part.width <= bar.days for bar in (this, last) for part in bar.parts)
    assert this.parts[2].label == "Polls failed: 30 June 2024 to now"


def test_a_gap_in_a_bar_has_the_days_that_the_list_below_gives() -> None:
    """The bar told days of UTC, the list those of the person: half past midnight in Berlin was the day before."""
    berlin = ZoneInfo("Europe/Berlin")
    row = gap(datetime(2024, 5, 2, 22, 30, tzinfo=UTC), datetime(2024, 5, 4, 23, tzinfo=UTC))
    (bar,) = years_of([row], first=date(2024, 1, 1), now=NOW, zone=berlin)
    assert bar.parts[1].label == "Polls failed: 3 May 2024 to 5 May 2024"
    assert gap(NOW, None).in_zone(berlin).gap_end is None


def test_a_history_that_begins_on_new_years_morning_has_no_bar_of_the_year_before() -> None:
    """In UTC its first half hour is of the year before, of which then 100 % was known."""
    berlin = ZoneInfo("Europe/Berlin")
    heard = datetime(2023, 1, 1, 0, 30, tzinfo=berlin)
    assert heard.astimezone(UTC).year == 2022
    bars = years_of([], first=heard.date(), now=NOW, zone=berlin)
    assert [(bar.year, bar.known_days, bar.asked_days) for bar in bars] == [(2024, 183, 183), (2023, 365, 365)]
    late = datetime(2023, 12, 31, 23, 30, tzinfo=UTC)
    assert [bar.year for bar in years_of([], first=date(2023, 12, 1), now=late, zone=berlin)] == [2024, 2023]


def test_a_device_is_named_shortly() -> None:
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"
    edge = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/150.0 Safari/537.36 Edg/150.0"
    assert device_name(firefox) == "Firefox on Linux"
    assert device_name(edge) == "Edge on Windows"
    assert device_name("curl/8.5") == "curl/8.5"
    assert device_name("") == "Unknown browser"
