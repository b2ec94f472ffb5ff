"""Invariants of the warehouse as yes-or-no checks.

Every check only reads, and a finding contains counts, never a listener's plays. Checks that cannot cover a warehouse of
a billion plays use a random sample. Dagster's asset checks and `myi doctor` show the findings.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from myi_pipeline.catalogue.musicbrainz_dump.files import find_dump
from myi_pipeline.catalogue.musicbrainz_enrichment import genres_status
from myi_pipeline.errors import BadInput, MyiError, Transient
from myi_pipeline.marts.model_times import slow_models
from myi_pipeline.operations.active_runs import counted, look_at_runs
from myi_pipeline.people.logins import LoginState, list_logins
from myi_pipeline.polling import poll_store, scrobble_store
from myi_pipeline.polling.poll_links import due_links
from myi_pipeline.polling.poll_users import due_now
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers import token_vault
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.providers.encryption_keys import FILE_NAME, check_keys, find_keys
from myi_pipeline.providers.spotify.oauth import broken_rule
from myi_pipeline.providers.transport import make_http, utc_now
from myi_pipeline.providers.youtube_music.units import units_today
from myi_pipeline.settings import Settings

# Measured: comparing a million events with their resolution takes 2-3 s.
EVENTS_A_SAMPLE = 1_000_000
# The marts are refreshed hourly: three times that means that refreshes fail or do not run.
OLDEST_CHANGE = timedelta(hours=3)
# Measured over 1,000 simulated listener-years: more than 99.9 % meet. With another person's archive, hardly any would.
FEWEST_POLLED, LEAST_MET = 100, 0.95


@dataclass(frozen=True)
class Finding:
    """The result of one check; `figures` are counts."""

    passed: bool
    text: str
    figures: Mapping[str, int | float] = field(default_factory=dict)


def _row(warehouse: Warehouse, role: Role, name: str, **values: object) -> tuple[int, ...]:
    with closing(warehouse.connect(role, autocommit=True, application_name="myi check")) as connection:
        row = connection.execute(load_sql(f"operations/checks/{name}"), values).fetchone()
    return row if row is not None else ()


def _sample(warehouse: Warehouse, name: str) -> tuple[int, ...]:
    """A check of users at random who have about EVENTS_A_SAMPLE events together."""
    (users,) = _row(warehouse, Role.DBT, "users_to_sample", events=EVENTS_A_SAMPLE)
    return _row(warehouse, Role.DBT, name, users=users)


def accounting_closes(warehouse: Warehouse) -> Finding:
    """Rows read = loaded + present + identical + quarantined: in every file, and files add up to their import."""
    imports, broken_imports, broken_files, quarantine_differs = _row(warehouse, Role.INGEST, "accounting_closes")
    wrong = broken_imports + broken_files + quarantine_differs
    text = f"the rows of {counted(imports, 'import')} add up"
    if wrong:
        found = ((broken_imports, "import"), (broken_files, "file"), (quarantine_differs, "quarantine"))
        text = f"rows do not add up in {', '.join(counted(number, what) for number, what in found if number)}"
    figures = {
        "imports": imports,
        "imports_that_do_not_close": broken_imports,
        "files_that_do_not_close": broken_files,
    }
    return Finding(not wrong, text, figures)


def events_lie_in_their_month(warehouse: Warehouse) -> Finding:
    """Every partition has its month's bounds as an enforced constraint, and sampled events are within them."""
    partitions, without_bounds, sampled, outside = _row(
        warehouse, Role.DBT, "events_lie_in_their_month", events=EVENTS_A_SAMPLE
    )
    wrong = without_bounds + outside
    text = f"{counted(partitions, 'partition')}, each with its own month only"
    if wrong:
        text = f"{counted(without_bounds, 'partition')} without its month's bounds, {counted(outside, 'event')} outside"
    figures = {
        "partitions": partitions,
        "partitions_without_bounds": without_bounds,
        "events_sampled": sampled,
        "events_outside": outside,
    }
    return Finding(not wrong, text, figures)


def partitions_exist_ahead(warehouse: Warehouse, *, months: int) -> Finding:
    """This month's partition and those of the next `months` exist."""
    (missing,) = _row(warehouse, Role.DBT, "partitions_exist_ahead", months=months)
    text = f"{counted(missing, 'partition')} of the coming months missing" if missing else "all are there"
    return Finding(not missing, text, {"partitions_missing": missing})


def events_belong_to_one_play(warehouse: Warehouse) -> Finding:
    """Each raw event of sampled users is in the resolution exactly once; days that wait for a refresh are left out."""
    if not _is_built(warehouse):
        return Finding(True, "no marts yet")
    users, events, wrong_days, strays = _sample(warehouse, "events_belong_to_one_play")
    wrong = wrong_days + strays
    text = f"{counted(wrong, 'user-day')} with an event in no play or in two" if wrong else "each event is in one play"
    figures = {"users_sampled": users, "events_compared": events, "days_that_differ": wrong_days, "stray_plays": strays}
    return Finding(not wrong, text, figures)


def plays_have_one_event_a_source(warehouse: Warehouse) -> Finding:
    """No play of sampled users contains two rows of one archive, or polled plays that are a second or more apart."""
    if not _is_built(warehouse):
        return Finding(True, "no marts yet")
    users, wrong = _sample(warehouse, "plays_have_one_event_a_source")
    text = f"{counted(wrong, 'play') if wrong else 'no play'} with two rows from one archive"
    return Finding(not wrong, text, {"users_sampled": users, "plays": wrong})


def polled_plays_meet_archives(warehouse: Warehouse) -> Finding:
    """An extended history contains nearly all polled plays of sampled users that it should.

    Otherwise it may belong to another person, or a clock is off in a way that no rule covers.
    """
    if not _is_built(warehouse):
        return Finding(True, "no marts yet")
    users, polled, met = _sample(warehouse, "polled_plays_meet_archives")
    share = met / polled if polled else 1.0
    text = f"{met} of {counted(polled, 'polled play')} within archive coverage found in the archive"
    figures = {"users_sampled": users, "polled_plays": polled, "share": round(share, 4)}
    return Finding(polled < FEWEST_POLLED or share >= LEAST_MET, text, figures)


def ledger_is_young(warehouse: Warehouse, *, oldest: timedelta = OLDEST_CHANGE) -> Finding:
    """No change waits longer than `oldest` for a refresh."""
    waiting, seconds = _row(warehouse, Role.DBT, "ledger_is_young")
    hours = float(seconds or 0) / 3600
    text = "nothing waits" if not waiting else f"{counted(waiting, 'change')} waiting, the oldest for {hours:.1f} h"
    return Finding(hours * 3600 <= oldest.total_seconds(), text, {"changes": waiting, "oldest_hours": round(hours, 2)})


def models_take_their_time(warehouse: Warehouse) -> Finding:
    """No model's last run took many times longer than those before it."""
    with closing(warehouse.connect(Role.DBT, autocommit=True, application_name="myi check")) as connection:
        slow = slow_models(connection)
    told = "; ".join(f"{m.model} took {m.seconds:.0f} s, usually {m.usual_seconds:.1f} s" for m in slow[:_NAMES_TOLD])
    return Finding(not slow, told or "every model takes as long as it used to", {"slow_models": len(slow)})


def runs_have_processes(warehouse: Warehouse) -> Finding:
    """No Dagster run occupies a slot without a process, and the queue moves."""
    seen = look_at_runs(warehouse)
    figures = {
        "active_runs": len(seen.active),
        "lost_runs": len(seen.lost),
        "runs_that_no_worker_began": len(seen.waiting_long),
        "queued_runs": seen.queued,
        "oldest_wait_minutes": int(seen.oldest_wait.total_seconds() // 60),
    }
    return Finding(not (seen.lost or seen.waiting_long or seen.is_queue_idle), seen.describe(), figures)


def _is_built(warehouse: Warehouse) -> bool:
    with closing(warehouse.connect(Role.DBT, autocommit=True, application_name="myi check")) as connection:
        row = connection.execute("select to_regclass('intermediate.int_plays__resolved') is not null").fetchone()
    return bool(row and row[0])


# One hour in which the machine was down is not worth reporting, a second one is.
LATEST_TURN = timedelta(hours=2)
# One failure is a network glitch; three in a row cover an hour or more.
_FAILURES_IN_A_ROW = 3
_NAMES_TOLD = 5


def polls_are_fresh(settings: Settings, warehouse: Warehouse, *, now: datetime) -> Finding:
    """Nobody is overdue by more than LATEST_TURN; users who cannot be polled (paused, signed out, suspended after
    failures) do not count.
    """
    waiting = due_now(warehouse, now=now)
    late = sorted((user.due_at, user.user_key) for user in waiting if user.due_at < now - LATEST_TURN)
    figures = {"turns_waiting": len(waiting), "turns_late": len(late)}
    if not late:
        return Finding(True, "everybody is polled in time", figures)
    hours = (now - late[0][0]) / timedelta(hours=1)
    names = ", ".join(user_key for _, user_key in late[:_NAMES_TOLD])
    return Finding(False, f"{counted(len(late), 'user')} waiting for a poll, {hours:.0f} h at most: {names}", figures)


def polls_succeed(warehouse: Warehouse) -> Finding:
    """No user's last three polls failed, and no user's last page was empty although plays were known."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi check")) as connection:
        failing = poll_store.failing_users(connection, least=_FAILURES_IN_A_ROW)
        emptied = poll_store.emptied_users(connection)
    figures = {"users_failing": len(failing), "users_with_empty_pages": len(emptied)}
    if failing:
        user_key, failures, reason = failing[0]
        more = f" and {counted(len(failing) - 1, 'more user')}" if len(failing) > 1 else ""
        return Finding(False, f"the last {failures} polls of {user_key}{more} failed: {reason}", figures)
    if emptied:
        names = ", ".join(emptied[:_NAMES_TOLD])
        return Finding(False, f"Spotify shows no plays, although some were known, to {names}", figures)
    return Finding(True, "everybody's last polls succeeded", figures)


# Reading 100,000 scrobbles takes a quarter of an hour, and continues a minute after each part.
_LONGEST_WALK = timedelta(days=2)


def service_polls_are_fresh(warehouse: Warehouse, *, now: datetime) -> Finding:
    """No linked account's turn came longer ago than LATEST_TURN, and none has a span that is read for days.

    Accounts that cannot be polled (paused, over a service's limit) do not count.
    """
    waiting = due_links(warehouse, now=now)
    late = [link for link in waiting if link.due_at < now - LATEST_TURN]
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi check")) as connection:
        health = scrobble_store.health_of_links(connection)
    unread = [each for each in health if each.unread_since is not None and each.unread_since < now - _LONGEST_WALK]
    figures = {
        "accounts": len(health),
        "turns_waiting": len(waiting),
        "turns_late": len(late),
        "accounts_with_unread_spans": len(unread),
    }
    if late:
        hours = (now - late[0].due_at) / timedelta(hours=1)
        names = ", ".join(f"{link.user_key} at {link.service.label}" for link in late[:_NAMES_TOLD])
        text = f"{counted(len(late), 'account')} waiting for a poll, {hours:.0f} h at most: {names}"
        return Finding(False, text, figures)
    if unread:
        days = (now - min(each.unread_since for each in unread if each.unread_since)).days
        names = ", ".join(each.name for each in unread[:_NAMES_TOLD])
        text = f"{counted(len(unread), 'account')} with scrobbles not read to the end for {days} days: {names}"
        return Finding(False, text, figures)
    return Finding(True, "every linked account is polled in time", figures)


def service_polls_succeed(warehouse: Warehouse) -> Finding:
    """No linked account's last three polls failed."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi check")) as connection:
        health = scrobble_store.health_of_links(connection)
    failing = sorted(
        (each for each in health if each.failures >= _FAILURES_IN_A_ROW), key=lambda each: (-each.failures, each.name)
    )
    figures = {"accounts": len(health), "accounts_failing": len(failing)}
    if not failing:
        return Finding(True, "the last polls of every linked account succeeded", figures)
    worst = failing[0]
    more = f" and {counted(len(failing) - 1, 'more account')}" if len(failing) > 1 else ""
    text = f"the last {worst.failures} polls of {worst.name}{more} failed: {worst.reason or 'unknown'}"
    return Finding(False, text, figures)


def playlist_accounts(warehouse: Warehouse) -> tuple[Finding, str]:
    """No account that playlists are read from needs a new login, has an open circuit, or failed three times in a row;
    and how to fix the first that does.
    """
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi check")) as connection:
        rows = connection.execute(load_sql("operations/checks/playlist_accounts")).fetchall()
    troubles = []
    for user_key, provider, must_sign_in, is_open, failures, reason in rows:
        name = f"{user_key}'s {Provider(provider).label} account"
        if must_sign_in:
            troubles.append((f"{name} needs a new login", f"myi providers link {user_key} {provider}"))
        elif is_open or failures >= _FAILURES_IN_A_ROW:
            what = "is left alone after failures" if is_open else f"failed {failures} times in a row"
            mend = f"myi playlists gather --user {user_key}; it says what is wrong"
            troubles.append((f"{name} {what}: {reason or 'unknown reason'}", mend))
    figures = {"accounts": len(rows), "accounts_in_trouble": len(troubles)}
    if not troubles:
        return Finding(True, "the playlists of every linked account can be read", figures), ""
    more = len(troubles) - _NAMES_TOLD
    told = [text for text, _ in troubles[:_NAMES_TOLD]] + ([f"and {more} more"] if more > 0 else [])
    return Finding(False, "; ".join(told), figures), troubles[0][1]


# (fine, what was found, how to mend it)
Found = tuple[bool, str, str]


def encryption_keys(settings: Settings) -> Found:
    """Whether the keys can be read, and only by their owner."""
    path = settings.secrets_folder / FILE_NAME
    try:
        keys = find_keys(settings)
    except MyiError as error:
        return False, str(error), "without it stored logins cannot be opened"
    if keys is None:
        return True, "none yet: the first sign-in makes one", ""
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        return False, f"{path} can be read by others on this machine", f"chmod 600 {path}, then: myi keys new; rotate"
    origin = "MYI_ENCRYPTION_KEYS" if settings.encryption_keys is not None else str(path)
    return True, f"{len(keys.ids)} ({origin}); {keys.sealing_id.hex()} seals", ""


def stored_logins_open(settings: Settings, warehouse: Warehouse) -> Found:
    """Whether every stored login is sealed with a key that is here."""
    try:
        check_keys(settings, warehouse)
    except MyiError as error:
        return False, str(error), "put the missing key back; nothing that uses logins starts before"
    return True, "every stored login is sealed with a key that is here", ""


def spotify_app(settings: Settings) -> Found:
    """Whether Spotify knows the client id and the redirect address."""
    client_id, redirect = settings.spotify_client_id, settings.spotify_redirect_uri
    if client_id is None:
        return True, "no client id; needed for polling and for signing in with Spotify (MYI_SPOTIFY_CLIENT_ID)", ""
    with closing(make_http(settings.spotify_accounts_url)) as http:
        try:
            broken = broken_rule(
                http, accounts_url=settings.spotify_accounts_url, client_id=client_id, redirect_uri=redirect
            )
        except Transient as error:
            return False, str(error), "check the network; nothing can be polled meanwhile"
    if broken is not None:
        return False, "Spotify refuses the app's settings", broken
    found = f"client id {client_id}, redirect {redirect}"
    if not settings.is_on_site(redirect):
        found += f"; pages cannot sign in with Spotify, as that is not an address of {settings.site_url}"
    return True, found, ""


def musicbrainz(settings: Settings, warehouse: Warehouse, *, now: datetime) -> Found:
    """Whether MusicBrainz' queue moves; being switched off is fine."""
    if settings.musicbrainz_dump is not None:
        try:
            find_dump(settings.musicbrainz_dump)
        except BadInput as error:
            return False, f"{error}: {error.place}", "put a dump there, or leave MYI_MUSICBRAINZ_DUMP out"
    status = genres_status(settings, warehouse, now=now)
    waiting = sum(each.waiting for each in status.queue)
    if status.off:
        text = "not asked: no MYI_MUSICBRAINZ_CONTACT"
        return True, f"{text}; a dump is looked in" if settings.musicbrainz_dump is not None else text, ""
    if status.idle.until is not None:
        text = f"{counted(waiting, 'question')} waiting, none asked before {status.idle.until:%H:%M} UTC"
        return False, f"{text}: {status.idle.reason}", "nothing yet; it continues automatically"
    failing = sum(each.failing for each in status.queue)
    text = f"{counted(waiting, 'question')} waiting"
    return True, f"{text}, {failing} of them failed before" if failing else text, ""


def youtube_units(settings: Settings, warehouse: Warehouse, *, now: datetime) -> Found | None:
    """Whether YouTube's day has anything left; None if YouTube is not set up."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi check")) as connection:
        uses = units_today(connection, settings, now=now)
    if not uses:
        return None
    text = ", ".join(f"{each.used:,} of {each.limit:,} {each.kind.value} used" for each in uses)
    day = f"new ones at {uses[0].day_ends_at:%Y-%m-%d %H:%M} UTC"
    if all(each.left for each in uses):
        return True, f"{text}; {day}", ""
    return False, f"{text}; {day}", "nothing; what waits for YouTube goes on then"


def logins(warehouse: Warehouse, *, now: datetime) -> Found:
    """Whether somebody must sign in again, now or within 30 days."""
    with warehouse.connect(Role.INGEST, autocommit=True, application_name="myi check") as connection:
        states = list_logins(connection, now=now)
    ended = [state for state in states if has_ended(state)]
    ending = [state for state in states if not has_ended(state) and state.warning is not None]
    if ended:
        names = ", ".join(state.user_key for state in ended[:5])
        return False, f"{len(ended)} must sign in again: {names}", _sign_in_command(ended[0])
    doubted = [state for state in states if state.is_doubted]
    if doubted:
        names = ", ".join(state.user_key for state in doubted[:5])
        return False, f"refused, to be tried again within hours: {names}", "nothing yet; sign in again to be sure"
    if ending:
        names = ", ".join(f"{state.user_key} ({counted(state.days_left, 'day')})" for state in ending[:5])
        return False, f"end soon: {names}", _sign_in_command(ending[0])
    return True, f"{len(states)}, none of which ends within 30 days" if states else "no user is signed in", ""


def logins_are_good(warehouse: Warehouse, *, now: datetime | None = None) -> Finding:
    """The asset check: no user has to sign in again, and no login's six months end within 30 days."""
    moment = now or utc_now()
    passed, text, mend = logins(warehouse, now=moment)
    with warehouse.connect(Role.INGEST, autocommit=True, application_name="myi check") as connection:
        states = list_logins(connection, now=moment)
    figures = {
        "logins": len(states),
        "must_sign_in_again": sum(map(has_ended, states)),
        **{
            f"end_within_{days}_days": sum(not has_ended(state) and state.days_left <= days for state in states)
            for days in (30, 7, 1)
        },
    }
    return Finding(passed, f"{text}{f'; {mend}' if mend else ''}", figures)


def _sign_in_command(state: LoginState) -> str:
    further = f"myi providers link {state.user_key} spotify --further"
    return f"myi user login {state.user_key}" if state.is_main else further


def has_ended(state: LoginState) -> bool:
    """Whether its person must sign in again before anything more is polled."""
    return state.state == token_vault.REAUTH_REQUIRED or state.days_left <= 0
