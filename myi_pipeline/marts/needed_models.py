"""Which models a run must build: those with at least one slice touched by what the run froze.

A model of the strategy `slices` (dbt_project/macros/slices_strategy.sql) deletes the rows of its slices and inserts
only rows of these slices: without a slice, it changes nothing. The slices of each follow from tables of the run or from
the keys that fct_plays collects. A model with slices of an unknown kind is always built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from myi_pipeline.marts.parsed_project import Contents, DataTest, Model


@dataclass(frozen=True)
class Touched:
    """What a run has when it opens.

    `api_days`: days whose polled plays are matched again; `keys`: keys that fct_plays has collected in a run that did
    not close; `recordings`: whether the tracks of any have changed; `facts`: tracks about which anything else has
    changed; `genres`: whether any are known; `playlists`: whether any has a new version.
    """

    days: bool
    api_days: bool
    contents: bool
    users: bool
    keys: bool
    recordings: bool
    facts: bool = False
    genres: bool = False
    playlists: bool = False


# What a model's slices follow from, by the macro that its meta names. Matching polled plays again adds days of plays,
# and days of plays add keys: a model that follows from a later one of these also follows from the earlier ones.
_API = frozenset({"api_days"})
_PLAYS = _API | {"days"}
_KEYS = _PLAYS | {"keys"}
FOLLOWS_FROM: Mapping[str, frozenset[str]] = {
    "api_days": _API,
    "api_users": _API,
    "run_days": _PLAYS,
    "run_contents": frozenset({"contents"}),
    "run_tracks": frozenset({"contents", "facts"}),
    "run_tracks_with_genres": frozenset({"contents", "facts"}),
    "run_users": frozenset({"users"}),
    "run_playlists": frozenset({"playlists"}),
    "run_playlist_versions": frozenset({"playlists"}),
    "touched_days": _KEYS,
    "touched_periods": _KEYS,
    "touched_periods_of_users": _KEYS,
    "touched_years": _KEYS,
    "touched_years_of": _KEYS,
    "touched_genre_years": _KEYS | {"contents", "facts"},
    "touched_users": _KEYS,
    "touched_firsts": _KEYS,
    "touched_session_spans": _KEYS | {"recordings"},
    "touched_tracks": _KEYS | {"recordings"},
    "touched_recordings": _KEYS | {"recordings"},
    "touched_listeners": _KEYS | {"users", "recordings", "facts", "playlists"},
}


# Without genres these are empty, and cost nothing to a household that never asked for any. When the last genre is
# removed, that is a changed fact.
_OF_GENRES = frozenset({"run_tracks_with_genres", "touched_genre_years"})


def needed_models(contents: Contents, touched: Touched) -> frozenset[str]:
    """The names of the models that the run must build. Views are left out: they stay until everything is rebuilt
    (macros/standing_view.sql).
    """
    return frozenset(model.name for model in contents.models.values() if not model.is_view and _is_cut(model, touched))


def _is_cut(model: Model, touched: Touched) -> bool:
    if model.slices in _OF_GENRES and not (touched.genres or touched.facts):
        return False
    causes = FOLLOWS_FROM.get(model.slices or "")
    return causes is None or any(getattr(touched, cause) for cause in causes)


def needed_tests(tests: Iterable[DataTest], built: Iterable[str]) -> tuple[tuple[str, ...], int]:
    """The data tests that can find anything new after a run that built these models, and the number of the others.

    A test none of whose models was built reads the same rows as before. Uniqueness of keys is proved by each model's
    index; only the daily tests check that the index exists.
    """
    made = frozenset(built)
    every = tuple(tests)
    names = tuple(sorted(test.name for test in every if test.models & made and not test.is_proved_by_index))
    return names, len(every) - len(names)
