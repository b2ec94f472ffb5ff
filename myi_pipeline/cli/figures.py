"""A person's listening as tables, shown at the end of import and demo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from myi_pipeline.cli.output import hours, number, table

if TYPE_CHECKING:
    from myi_pipeline.marts.figures import ListeningSummary


def render_listening(console: Console, summary: ListeningSummary) -> None:
    years = [
        (str(year.year), number(year.plays), number(year.counted_plays), hours(year.hours)) for year in summary.years
    ]
    total = ("all", number(summary.plays), number(summary.counted_plays), hours(summary.hours))
    title = f"Listening of {summary.user_key}"
    console.print(table(title, ("year", ">plays", ">counted plays", ">hours"), [*years, total]))
    if summary.top_artists:
        console.print()
        rows = [
            (str(place), artist.name, number(artist.counted_plays), hours(artist.hours))
            for place, artist in enumerate(summary.top_artists, start=1)
        ]
        console.print(table("Top artists", (">", "artist", ">counted plays", ">hours"), rows))


def summary_document(summary: ListeningSummary | None) -> dict[str, Any] | None:
    if summary is None:
        return None
    return {
        "user": summary.user_key,
        "plays": summary.plays,
        "counted_plays": summary.counted_plays,
        "ms_played": summary.ms_played,
        "years": summary.years,
        "top_artists": summary.top_artists,
    }
