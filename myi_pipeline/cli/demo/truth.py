"""The demo's marts beside what the generators of its archives know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from myi_pipeline.marts.figures import ListeningFigures
    from myi_pipeline.simulator import MartTruth


@dataclass(frozen=True)
class Comparison:
    """One figure as the marts have it and as it must be."""

    figure: str
    marts: object
    truth: object

    @property
    def is_equal(self) -> bool:
        return self.marts == self.truth


def compare_with_truth(figures: ListeningFigures, truth: MartTruth) -> list[Comparison]:
    """Totals to look at, and then every day and every artist."""
    true_days = tuple((day.local_date, day.plays, day.counted_plays, day.ms_played) for day in truth.days)
    true_artists = tuple(
        sorted(
            (str(row.key), row.plays, row.counted_plays, row.ms_played) for row in truth.artists if row.period == "all"
        )
    )
    return [
        Comparison("plays", sum(day[1] for day in figures.days), truth.total_plays),
        Comparison("counted plays", sum(day[2] for day in figures.days), sum(day[2] for day in true_days)),
        Comparison("milliseconds", sum(day[3] for day in figures.days), truth.total_ms_played),
        Comparison("tracks", figures.tracks, sum(row.period == "all" for row in truth.tracks)),
        Comparison("albums", figures.albums, sum(row.period == "all" for row in truth.albums)),
        Comparison("sessions", figures.sessions, len(truth.sessions)),
        Comparison(
            "longest streak, days", figures.longest_streak_days, max((s.days for s in truth.streaks), default=0)
        ),
        *_rows("days", figures.days, true_days),
        *_rows("artists", tuple(sorted(figures.artists)), true_artists),
    ]


def compare_plays(figures: ListeningFigures, truth: MartTruth) -> list[Comparison]:
    """What polls beside an archive must leave as it is: plays and listening of every day.

    Not what counts: a duration from Spotify can make a short track count that archives alone leave out.
    """
    found = [(day, plays, ms) for day, plays, _, ms in figures.days]
    true = [(day.local_date, day.plays, day.ms_played) for day in truth.days]
    return [
        Comparison("plays", sum(plays for _, plays, _ in found), truth.total_plays),
        Comparison("milliseconds", sum(ms for _, _, ms in found), truth.total_ms_played),
        *_rows("days", found, true),
    ]


def _rows(name: str, found: Sequence[object], true: Sequence[object]) -> list[Comparison]:
    """How many there are, and how many of them are right in every figure."""
    right = len(set(found) & set(true))
    return [
        Comparison(name, len(found), len(true)),
        Comparison(f"{name} right in every figure", right, len(true)),
    ]
