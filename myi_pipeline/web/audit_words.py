"""The audit log in words, for the person whom it concerns."""

from __future__ import annotations

from myi_pipeline.people.audit import AuditRow, Event

_PLAIN: dict[str, str] = {
    Event.SIGN_IN_REFUSED: "A sign-in was refused",
    Event.LINK_MADE: "A one-time link was made",
    Event.SPOTIFY_CONNECTED: "Spotify was connected",
    Event.SPOTIFY_DISCONNECTED: "Spotify was disconnected",
    Event.SERVICE_LINKED: "An account of another service was linked",
    Event.SERVICE_UNLINKED: "An account of another service was unlinked",
    Event.PLAYLIST_REMOVED: "A playlist from a file, or one made here, was removed",
    Event.MIGRATION_ORDERED: "A playlist's move to another service was ordered",
    Event.MIGRATION_APPLIED: "A playlist that is moved was to be written",
    Event.MIGRATION_CANCELLED: "A playlist's move was cancelled",
    Event.MIGRATION_SAVED: "A playlist is kept in sync with one at another service",
    Event.MIGRATION_FORGOTTEN: "A playlist is kept in sync no more",
    Event.NOTICE_TARGET_ADDED: "An address for notices was added",
    Event.NOTICE_TARGET_REMOVED: "An address for notices was removed",
    Event.WEBHOOK_SECRET_ROTATED: "A webhook got a new secret",
    Event.USER_ADDED: "The user was added",
    Event.ERASURE_REQUESTED: "You asked for everything to be erased",
    Event.ERASURE_WITHDRAWN: "The wish to erase everything was withdrawn",
    Event.SHARING_INVITED: "Somebody was invited to see and show figures",
    Event.SHARING_AGREED: "You and another listener agreed to see each other’s figures",
    Event.SHARING_CHANGED: "What another listener sees of your figures was changed",
    Event.SHARING_ENDED: "An agreement to see each other’s figures, or an invitation to it, was ended",
    Event.EXPORT_ORDERED: "An export of everything was asked for",
    Event.EXPORT_DELETED: "An export of everything was deleted",
    Event.EXPORT_FETCHED: "An export was downloaded",
    Event.CORRECTED: "Plays were hidden, deleted or corrected",
    Event.CORRECTION_UNDONE: "A correction was undone",
}


# What the operator did, by the command. Those that only look are not among them, though they are kept too.
COMMANDS = {
    "import": "imported an archive for you",
    "export": "wrote all that is kept of you to a file",
    "user add": "added this account",
    "user set": "changed your time zone, name or rights",
    "user time-zones": "looked at your time zones",
    "user erase": "erased this account",
    "user remove": "erased this account",
    "user login": "connected Spotify for you",
    "user pause": "paused polling of Spotify",
    "user resume": "resumed polling of Spotify",
    "user disconnect": "disconnected Spotify",
    "user link": "made a sign-in link for you",
    "user sign-out": "ended all your sign-ins, tokens and links",
    "service link": "linked an account of another service",
    "service unlink": "unlinked an account of another service",
    "service pause": "paused reading from another service",
    "service resume": "resumed reading from another service",
    "service allow": "began to let Last.fm take your plays",
    "service send": "had your plays sent on to another service",
    "providers list": "looked at your linked accounts",
    "providers link": "linked an account that keeps playlists",
    "playlists list": "looked at your playlists",
    "playlists show": "looked at one of your playlists",
    "playlists history": "looked at the versions of a playlist",
    "playlists gather": "had your playlists read",
    "playlists import": "added playlists from files for you",
    "playlists export": "wrote playlists of yours to files",
    "playlists restore": "made a list of what was on a playlist before",
    "playlists remove": "removed a playlist of yours",
    "playlists from-plays": "made a list of what you played most",
    "migrate-playlist save": "had a playlist kept in sync",
    "migrate-playlist saved": "looked at the playlists that are kept in sync",
    "migrate-playlist repeat": "ran the sync of a playlist",
    "migrate-playlist pause": "paused the sync of a playlist",
    "migrate-playlist resume": "resumed the sync of a playlist",
    "migrate-playlist forget": "ended the sync of a playlist",
    "migrate-playlist plan": "prepared a playlist's move to another service",
    "migrate-playlist review": "looked through a playlist's move",
    "migrate-playlist apply": "moved a playlist to another service",
    "migrate-playlist status": "looked at the moves of your playlists",
    "migrate-playlist report": "looked at the report of a playlist's move",
    "migrate-playlist cancel": "cancelled a playlist's move",
    "circuit reset": "had requests for you made again at once",
    "corrections add": "hid, deleted or corrected plays of yours",
    "corrections undo": "undid a correction",
    "token new": "made an access token for you",
}


def audit_text(row: AuditRow) -> str:
    """A sentence without its full stop. Names in it are the person's own words: templates escape them."""
    detail = row.detail
    match row.event:
        case Event.SIGNED_IN:
            how = "by a link" if detail.get("method") == "link" else "with Spotify"
            return f"{device_name(str(detail.get('device', '')))} signed in {how}"
        case Event.SIGNED_OUT:
            return f"{device_name(str(detail.get('device', '')))} was signed out"
        case Event.SIGN_INS_ENDED:
            kept = "every other sign-in" if detail.get("kept_one") else "every sign-in"
            return f"{kept.capitalize()}, token and link was ended"
        case Event.TOKEN_MADE:
            return f"The token “{detail.get('name', '')}” was made"
        case Event.TOKEN_FIRST_USED:
            return f"The token “{detail.get('name', '')}” was used for the first time"
        case Event.EXPORT_MADE:
            return f"An export was made ({detail.get('file', '')})"
        case Event.TOKEN_REVOKED:
            return f"The token “{detail.get('name', '')}” was revoked"
        case Event.SHARE_MADE:
            return f"The report “{detail.get('title', '')}” was shared"
        case Event.SHARE_CHANGED:
            return f"The shared report “{detail.get('title', '')}” was changed"
        case Event.SHARE_REVOKED:
            return f"The report “{detail.get('title', '')}” is not shared any more"
        case Event.RECORDING_DECIDED if detail.get("decision") == "same":
            return f"Tracks {detail.get('track')} and {detail.get('other')} were said to be one song"
        case Event.RECORDING_DECIDED:
            return f"Track {detail.get('track')} was said to stand by itself"
        case Event.RECORDING_TAKEN_BACK:
            return "A decision about a song was taken back"
        case Event.WRONG_CREDENTIAL:
            return "A token that has ended was shown"
        case Event.COMMAND if "operator" in detail:
            return f"Dagster's pages were {'opened' if detail['operator'] else 'closed'} to the user"
        case Event.COMMAND:
            return f"The operator {COMMANDS.get(str(detail.get('command')), 'did something to this account')}"
        case _:
            return _PLAIN.get(row.event, row.event.replace("_", " ").capitalize())


# In the order in which they must be asked: Edge and Opera name Chrome too, Chrome names Safari.
_BROWSERS = (
    ("Edg/", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser/", "Samsung Internet"), ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"), ("CriOS/", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip
_LONGEST = 60


def device_name(user_agent: str) -> str:
    """`Firefox on Linux`, or the beginning of what was said."""
    browser = next((name for sign, name in _BROWSERS if sign in user_agent), None)
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), None)
    if browser is not None and system is not None:
        return f"{browser} on {system}"
    return browser or user_agent[:_LONGEST].strip() or "Unknown browser"
