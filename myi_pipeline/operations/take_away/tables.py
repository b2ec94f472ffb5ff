"""Every table with rows of users, and where an export has them, or why it has not: a test fails for a forgotten one.

Looked at are the schemas app, raw and ops: tables with a column user_id, and those whose rows belong to one of these by
a foreign key.
"""

from __future__ import annotations

from typing import Final

from myi_pipeline.archives.export_parts import EVENTS_TABLE
from myi_pipeline.operations.take_away.parts import PARTS

_FILES: Final = {EVENTS_TABLE: "events"}

NOT_EXPORTED: Final[dict[str, str]] = {
    "app.access_tokens": "opens this site alone; only a hash of each is kept",
    "app.account_credentials": "logins, sealed: a secret",
    "app.credentials": "logins, sealed: a secret; the accounts are in accounts/playlist_services",
    "app.erasure_requests": "a wish about this installation, which erases nothing elsewhere",
    "app.exports": "about exports that were made, not about listening",
    "app.kept_answers": "answers that the API repeats for a day",
    "app.migration_writes": "the journal of requests; what came of them is in playlists/move_entries",
    "app.provider_sign_ins": "sign-ins that are under way",
    "app.sessions": "opens this site alone; only a hash of each is kept",
    "app.sign_in_attempts": "sign-ins that are under way, with addresses",
    "app.sign_in_links": "opens this site alone; only a hash of each is kept",
    "app.sign_ins": "sign-ins that are under way",
    "app.spotify_tokens": "access tokens: a secret",
    "ops.account_circuits": "how requests fare from here",
    "ops.changed_days": "what the marts here have to recompute",
    "ops.changed_playlists": "what the marts here have to recompute",
    "ops.changed_users": "what the marts here have to recompute",
    "ops.circuit_events": "how requests fare from here",
    "ops.circuits": "how requests fare from here",
    "ops.latest_imports": "how far an importer says that it is with this site",
    "ops.live_wishes": "what is asked of Spotify at this moment",
    "ops.mart_run_api_days": "what a refresh is working on",
    "ops.mart_run_days": "what a refresh is working on",
    "ops.mart_run_playlists": "what a refresh is working on",
    "ops.mart_run_users": "what a refresh is working on",
    "ops.notice_deliveries": "a log that is pruned, of what was sent to addresses that do not travel",
    "ops.notices": "a log that is pruned, of what was found here; what it was about is in other parts",
    "ops.now_playing": "what is playing at this moment",
    "ops.playlist_file_inbox": "uploaded files that are stored within seconds; what came of them is in playlists/lists",
    "ops.playlist_gatherings": "a log that is pruned; nothing follows from it",
    "ops.playlist_reads": "when each list was last read from here",
    "ops.playlist_states": "when accounts are read next from here",
    "ops.poll_states": "when the user is polled next from here",
    "ops.polls": "a log that is pruned; what it brought is in the events and gaps",
    "ops.quarantine_before": "the quarantine of an import that is being repeated",
    "ops.removals": "about users who are gone",
    "ops.service_polls": "a log that is pruned; what it brought is in the events",
    "ops.service_states": "when linked accounts are read next from here",
    "ops.service_stretches": "how far linked accounts are read from here",
    "ops.submissions": "a log that is pruned; what it brought is in the events",
    "ops.told_playing": "what is playing at this moment",
    "ops.top_refreshes": "when top lists are read next from here",
    "ops.touched_dates": "what the marts here have to recompute",
    "ops.touched_entities": "what the marts here have to recompute",
    "ops.touched_recordings": "what the marts here have to recompute",
    "ops.track_lookups": "answers of services, kept for some weeks",
    "ops.user_recordings": "follows from decisions/recordings",
}


def exported_tables() -> dict[str, str]:
    """Each table that is exported, with the part that has its rows."""
    return {**{table: part.name for part in PARTS for table in part.tables}, **_FILES}
