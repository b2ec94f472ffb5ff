"""The texts of notices: a title that suffices on a lock screen, and a sentence or two below it.

Without names of what was heard or of playlists, as notices go through other people's services.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from myi_pipeline.notices import kinds


@dataclass(frozen=True)
class Words:
    title: str
    text: str


def words_of(kind: str, *, stage: str = "", detail: Mapping[str, Any], is_over: bool = False) -> Words:
    """The text when it begins, reaches another stage, or ends."""
    found = (_OVER if is_over else _BEGUN).get(kind)
    if found is None:
        label = kinds.KINDS[kind].label if kind in kinds.KINDS else kind
        return Words(f"Over: {label}" if is_over else label, "")
    title, text = found
    values = _Values({**detail, **_derived(kind, stage, detail)})
    return Words(title.format_map(values), text.format_map(values).strip())


class _Values(dict[str, Any]):
    """A figure that an older row lacks is shown as a question mark."""

    def __missing__(self, key: str) -> str:
        return "?"


_BEGUN: Mapping[str, tuple[str, str]] = {
    "login.ending": ("The {account} login {when}", "Sign in again on the account page. {until_then}"),
    "polls.gap": (
        "Some plays may have been missed",
        "{why} The coverage page shows when. An archive from Spotify fills the gap.",
    ),
    "import.failed": ("An import has failed", "None of it was counted. The imports page shows why."),
    "import.finished": ("An import has finished", "{plays} added. {aside}"),
    "circuit.open": (
        "Requests for {account} are paused",
        "Requests failed too often, so MYI waits before trying again. It continues automatically.",
    ),
    "migration.waiting": (
        "A playlist being moved needs your decision",
        "It is planned. Review the matches, then start it.",
    ),
    "migration.finished": ("{what}", "{tracks}"),
    "run.failed": ("{job} failed", "{part}Dagster's pages and the logs show why; `myi doctor` checks the rest."),
    "pipeline.stopped": ("The figures are not being updated", "{found}. `myi doctor` shows more."),
    "disk.full": ("The disk is full", "{found}. Uploads, imports and refreshes wait until there is more space."),
    "backup.failed": ("Backups need attention", "{found}. `myi doctor` shows how to fix it."),
    "marts.refreshed": ("The figures were updated", ""),
    kinds.TEST: ("A test from MYI", "If you can read this, notices will reach you here."),
}
_OVER: Mapping[str, tuple[str, str]] = {
    "login.ending": ("The {account} login works again", "There is nothing left to do."),
    "circuit.open": ("{account} works again", "Missed data are fetched as far as possible."),
    "run.failed": ("{job} works again", "{part}"),
    "pipeline.stopped": ("The figures are up to date again", ""),
    "disk.full": ("There is free disk space again", "Everything that was waiting continues automatically."),
    "backup.failed": ("Backups work again", ""),
}
_GAPS = {
    "window_overflow": "More was played between two polls than Spotify lists.",
    "outage": "MYI could not poll Spotify for a while.",
    "refused_items": "Spotify reported something that could not be read.",
    "late_plays": "A device reported plays late.",
}


def _derived(kind: str, stage: str, detail: Mapping[str, Any]) -> dict[str, str]:
    if kind == "login.ending":
        if stage == kinds.ENDED:
            return {"when": "has ended", "until_then": "Until then nothing new arrives from there."}
        days = int(detail.get("days_left", stage or 0))
        when = "ends tomorrow" if days <= 1 else f"ends in {days} days"
        return {"when": when, "until_then": "Nothing is lost if you do so in time."}
    if kind == "polls.gap":
        return {"why": _GAPS.get(str(detail.get("reason")), "MYI could not see everything.")}
    if kind == "import.finished":
        new, refused = int(detail.get("new_plays", 0)), int(detail.get("quarantined", 0))
        aside = f"{_counted(refused, 'row')} could not be read as plays and were set aside." if refused else ""
        return {"plays": _counted(new, "new play") if new else "No new plays", "aside": aside}
    if kind == "migration.finished":
        what = {
            "done": "A playlist has been moved",
            "incomplete": "A playlist has been moved, but not all of it",
        }.get(str(detail.get("state_of_migration")), "A playlist could not be moved")
        return {"what": what, "tracks": "The page of the move shows every track."}
    if kind == "run.failed":
        users = detail.get("users")
        part = "" if not users else f"It was for {users:,} users. " if users > 1 else "It was for one user. "
        job = str(detail.get("job", "a job"))
        # Dagster's own name for a manually started run.
        return {"part": part, "job": "A run of chosen assets" if job.startswith("__") else job}
    return {}


def _counted(count: int, one: str) -> str:
    return f"{count:,} {one if count == 1 else one + 's'}"
