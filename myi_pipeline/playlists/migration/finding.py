"""Finds a playlist's tracks at the target service: by people's decisions, by code, and by name.

A track that cannot be looked up there is missing; that does not stop the search for the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from myi_pipeline.catalogue.matching.choices import Choice, Outcome, choose
from myi_pipeline.catalogue.matching.titles import is_sampler
from myi_pipeline.errors import Forbidden, Paused, Permanent
from myi_pipeline.playlists.migration.item_rows import Decision, EarlierMatch, Found, SourceEntry, key_of
from myi_pipeline.playlists.migration.lookups import Lookups
from myi_pipeline.playlists.migration.patience import MOST_WAITING, Patience
from myi_pipeline.providers.playlists import BatchFinder, Capabilities, ListedTrack, TrackFinder

__all__ = ["MOST_WAITING", "Finding", "in_force"]

# ISO 3901.
_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}", re.ASCII)


@dataclass
class Finding:
    """The search for one plan's tracks. `lookups` holds earlier answers and stores each new one. `note`: what could not
    be looked up, for people; empty if nothing.
    """

    finder: TrackFinder
    capabilities: Capabilities
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    lookups: Lookups | None = None
    _patience: Patience = field(init=False)
    _by_code: dict[str, ListedTrack] = field(default_factory=dict)
    _asked_codes: set[str] = field(default_factory=set)
    _waiting: dict[str, None] = field(default_factory=dict)
    _matched: int = 0
    _no_search: str = ""
    _refusals: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._patience = Patience(self.clock, self.sleep)

    @property
    def matched(self) -> int:
        """How many entries have been handled, found or not."""
        return self._matched

    @property
    def note(self) -> str:
        notes = [f"tracks were not looked up by name: {self._no_search}"] if self._no_search else []
        if self._refusals:
            notes.append(f"{len(self._refusals):,} look-ups were refused, most recently: {self._refusals[-1]}")
        return "; ".join(notes)

    def ask_ahead(
        self,
        entries: Sequence[SourceEntry],
        decisions: Mapping[int, Sequence[Decision]],
        earlier: Mapping[object, EarlierMatch],
    ) -> None:
        """Look up the codes of these entries, as many per request as the service takes; the remainder waits for the
        next entries or for `ask_the_rest`. Raises what the service raises if there is no point in continuing.
        """
        if not self._asks_together:
            return
        for entry in entries:
            verdict, never = _decisions_on(entry, decisions)
            previous = earlier.get(key_of(entry))
            if (
                verdict is None
                and (previous is None or previous.uri in never)
                and entry.title
                and (code := _code(entry.isrc))
            ):
                self._waiting[code] = None
        while len(self._waiting) >= self.capabilities.most_isrcs_at_once:
            self._ask_some()

    def ask_the_rest(self) -> None:
        while self._waiting:
            self._ask_some()

    def match(
        self,
        entries: Sequence[SourceEntry],
        decisions: Mapping[int, Sequence[Decision]],
        earlier: Mapping[object, EarlierMatch] = {},
    ) -> list[Found]:
        """Match these entries. `earlier`: earlier matches by `key_of`, which are kept. Raises what the service raises
        if there is no point in continuing.
        """
        if self.lookups is None:
            self.ask_ahead(entries, decisions, earlier)
            self.ask_the_rest()
        else:
            answers = self.lookups.find_codes({code for each in entries if (code := _code(each.isrc))})
            self._by_code = {code: answer for code, answer in answers.items() if answer is not None}
            self._asked_codes = set(answers)
        known: dict[tuple[ListedTrack, frozenset[str]], tuple[Choice, Sequence[ListedTrack]]] = {}
        matched: list[Found] = []
        for entry in entries:
            verdict, never = _decisions_on(entry, decisions)
            previous = earlier.get(key_of(entry))
            if previous is not None and _still_holds(previous, verdict, never):
                matched.append((entry, previous))
            elif verdict is not None:
                outcome = Outcome.MATCHED if verdict.kind == "is" else Outcome.UNAVAILABLE
                score = 1.0 if verdict.kind == "is" else 0.0
                matched.append((entry, Choice(outcome, None, score, None, "decided", ()), (), verdict.uri))
            else:
                # Two entries with the same name may be different tracks, with a candidate ruled out for only one.
                key = entry.track, never
                if key not in known:
                    found = self._candidates(*key)
                    known[key] = choose(entry.track, found), found
                matched.append((entry, *known[key], None))
            self._matched += 1
        return matched

    def _candidates(self, track: ListedTrack, never: frozenset[str]) -> Sequence[ListedTrack]:
        """Candidates by the track's code, and by its names if the code does not decide."""
        if not track.title:
            return ()
        if code := _code(track.isrc):
            first = self._by_code.get(code)
            if first is not None and choose(track, _without([first], never)).outcome is Outcome.MATCHED:
                # Its code was looked up in a batch.
                return [first]
        kept = self.lookups.find(track) if self.lookups is not None else None
        if kept is None:
            refusals = len(self._refusals)
            kept = self._look_up(track)
            # Only a complete answer is kept: the next plan asks again for the rest.
            if self.lookups is not None and not self._no_search and refusals == len(self._refusals):
                self.lookups.keep(track, kept)
        found = _without(kept, never)
        if len(found) == len(kept) or choose(track, found).outcome is Outcome.MATCHED or not _code(track.isrc):
            return found
        # The code's match was ruled out, and names had not been searched for: search for them now, once.
        without_code = replace(track, isrc=None)
        by_name = self.lookups.find(without_code) if self.lookups is not None else None
        if by_name is None:
            refusals = len(self._refusals)
            by_name = self._find_by_name(without_code)
            if self.lookups is not None and not self._no_search and refusals == len(self._refusals):
                self.lookups.keep(without_code, by_name)
        known = {each.uri for each in found}
        return found + [each for each in _without(by_name, never) if each.uri not in known]

    def _look_up(self, track: ListedTrack) -> Sequence[ListedTrack]:
        found: list[ListedTrack] = []
        if code := _code(track.isrc):
            found = list(self._find_by_code(code, track))
            if choose(track, found).outcome is Outcome.MATCHED:
                return found
        known = {each.uri for each in found}
        return [*found, *(each for each in self._find_by_name(track) if each.uri not in known)]

    def _find_by_code(self, code: str, track: ListedTrack) -> Sequence[ListedTrack]:
        if not self.capabilities.finds_isrc or (code in self._asked_codes and code not in self._by_code):
            return ()
        try:
            return self._patience.ask(self.finder.by_isrc, code)
        except (Forbidden, Paused):
            raise
        except Permanent as error:
            self._refusals.append(str(error))
            return ()

    @property
    def _asks_together(self) -> bool:
        most = self.capabilities.most_isrcs_at_once
        return self.capabilities.finds_isrc and most > 1 and isinstance(self.finder, BatchFinder)

    def _ask_some(self) -> None:
        """Look up the first of the waiting codes."""
        finder = self.finder
        assert isinstance(finder, BatchFinder)
        some = list(self._waiting)[: self.capabilities.most_isrcs_at_once]
        if self.lookups is not None and (kept := self.lookups.find_codes(some)):
            for code in kept:
                del self._waiting[code]
            return
        try:
            answers = self._patience.ask(finder.by_isrcs, some)
        except (Forbidden, Paused):
            raise
        except Permanent:
            # The service rejects one of them: each is looked up on its own later.
            answers = None
        for code in some:
            del self._waiting[code]
        if answers is None:
            return
        if self.lookups is not None:
            self.lookups.keep_codes({code: answers.get(code) for code in some})
        else:
            self._by_code |= answers
            self._asked_codes.update(some)

    def _find_by_name(self, track: ListedTrack) -> Sequence[ListedTrack]:
        if not self.capabilities.searches or self._no_search:
            return ()
        artist = track.artists[0] if track.artists else ""
        try:
            # "Various Artists" is not an artist to search for.
            return self._patience.ask(
                self.finder.search, title=track.title, artist="" if is_sampler(artist) else artist
            )
        except Forbidden as error:
            # The next search would be refused as well.
            self._no_search = str(error)
        except Paused:
            raise
        except Permanent as error:
            self._refusals.append(str(error))
        return ()


def _decisions_on(
    entry: SourceEntry, decisions: Mapping[int, Sequence[Decision]]
) -> tuple[Decision | None, frozenset[str]]:
    return in_force(decisions.get(entry.content_id, ()) if entry.content_id is not None else ())


def _still_holds(previous: EarlierMatch, verdict: Decision | None, never: frozenset[str]) -> bool:
    """Whether an earlier match agrees with the decisions as they are now."""
    if verdict is not None:
        return verdict.kind == "is" and verdict.uri in (previous.uri, previous.sent_uri)
    return not previous.is_decided and previous.uri not in never and previous.sent_uri not in never


def in_force(decisions: Sequence[Decision]) -> tuple[Decision | None, frozenset[str]]:
    """The decisions on one track that are in force, given all in the order in which they were made: the last `is` or
    `unavailable`, and the URIs that it is `never`. An `is` and a `never` of the same URI revoke each other.
    """
    verdict: Decision | None = None
    never: set[str] = set()
    for each in decisions:
        if each.kind != "never":
            verdict = each
            never.discard(each.uri or "")
        elif each.uri is not None:
            never.add(each.uri)
            if verdict is not None and verdict.uri == each.uri:
                verdict = None
    return verdict, frozenset(never)


def _without(found: Iterable[ListedTrack], never: frozenset[str]) -> list[ListedTrack]:
    return [each for each in found if each.uri not in never]


def _code(isrc: str | None) -> str | None:
    """The ISRC in capitals without hyphens; None if the text is not an ISRC."""
    code = (isrc or "").strip().upper().replace("-", "")
    return code if _ISRC.fullmatch(code) else None
