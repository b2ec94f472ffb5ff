"""Starting, finding and stopping the server.

At most one server runs on a data folder. It is only signalled after it was identified, and outlives the process that
started it as long as another one holds a lease. TCP connections are accepted only while the process that opened the
port is alive; a port that a killed process left open is closed by the next process that starts or ends.
"""

from __future__ import annotations

import logging
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg

from myi_pipeline.errors import Busy, Permanent, Transient
from myi_pipeline.postgres.connections import compose_url, is_mended_by_waiting, unreachable
from myi_pipeline.postgres.embedded import binaries as programs
from myi_pipeline.postgres.embedded import cluster, leases, places, processes, sql_port
from myi_pipeline.postgres.embedded.binaries import Binaries
from myi_pipeline.postgres.embedded.places import Places
from myi_pipeline.postgres.embedded.sql_port import SqlPort

log = logging.getLogger(__name__)

# Crash recovery replays up to max_wal_size (4 GB), which takes minutes on a slow disk.
START_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 300
_POLL_S = 0.05
_LOG_EVERY_S = 10.0
# Idle backends notice the death of their postmaster at once; busy ones get a few seconds.
_ORPHANS_PATIENCE_S = 10.0
# A reload takes milliseconds, but a second was seen under load.
_RELOAD_TIMEOUT_S, _RELOAD_POLL_S = 10.0, 0.02


class EmbeddedServer:
    """This process's lease on the server of one home."""

    def __init__(self, home: Path, *, tcp: SqlPort | None = None) -> None:
        """Start the server unless it is running, and take a lease; `tcp` opens a port until `close`.

        Raises Permanent, Transient, Busy.
        """
        own = places.make_own(home)
        self._pid = os.getpid()
        self._claim: sql_port.Claim | None = None
        try:
            with leases.home_lock(own):
                self._lease: leases.Lease | None = leases.Lease(own / "leases")
                try:
                    self.places = places.prepare(home)
                    self._claim = sql_port.Claim(own, tcp) if tcp is not None else None
                    self._password = ensure_running(self.places)
                except BaseException:
                    self._let_go(self._lease)
                    raise
        except OSError as error:
            raise Permanent(f"MYI_HOME cannot be used at {home}: {error.strerror} ({error.filename})") from error

    def url(self, database: str) -> str:
        """The superuser's postgresql:// URL. Secret."""
        return url_of(self.places, self._password, database)

    def confirm_copy(self) -> None:
        """Record that this copied home no longer shares anything with its original."""
        with leases.home_lock(self.places.own):
            places.confirm_copy(self.places.own)

    def close(self) -> None:
        """Release the lease; the last holder stops the server."""
        if self._lease is None or os.getpid() != self._pid:
            return  # in a fork, the lease belongs to the parent
        lease, self._lease = self._lease, None
        if not self.places.own.is_dir():
            self._let_go(lease)
            stop(self.places)
            return
        with leases.home_lock(self.places.own):
            self._let_go(lease)
            if not leases.holders(self.places.own / "leases"):
                stop(self.places)
            else:
                _close_port_unless_wanted(self.places, self.url("postgres"))

    def _let_go(self, lease: leases.Lease) -> None:
        if self._claim is not None:
            self._claim.release()
        lease.release()


def adopt(home: Path) -> Path:
    """Make this home the owner of the data named in its record; returns their folder. Starts nothing.

    Raises Permanent, and Busy while a server is running on them.
    """
    own = places.make_own(home)
    with leases.home_lock(own):
        area = places.data_area(home)
        if area is None or not (area / "data").exists():
            raise Permanent(f"{home} names no database that could be adopted")
        if processes.running_in(area / "data") is not None:
            raise Busy(f"the database in {area} is in use: end every MYI command of the other home first")
        return places.prepare(home, adopting=True).data


def url_of(where: Places, password: str, database: str) -> str:
    return compose_url(
        {"user": cluster.SUPERUSER, "password": password, "host": str(where.socket), "port": "5432", "dbname": database}
    )


def _binaries(where: Places) -> Binaries:
    return reachable_binaries(where, programs.binaries_for(where.data))


def reachable_binaries(where: Places, found: Binaries) -> Binaries:
    """The programs at a path where the server's account can run them."""
    if where.account.is_me:
        return found
    return programs.reachable(found, where.account, system_folder=places.SYSTEM_FOLDER)


def ensure_running(where: Places) -> str:
    """Make sure that the server answers; returns the superuser's password."""
    running = processes.postmaster(where)
    if running is not None:
        secret = _known_password(where)
        is_up = secret is not None and (_answers(where, secret) or _wait_until_it_answers(where, secret, running))
        if is_up and secret is not None and _apply_wanted_port(where, url_of(where, secret, "postgres")):
            return secret
        # It is stopping, its password is lost, or it is listening on the wrong port: restart it.
        stop(where)
    binaries = prepare_programs(where)
    cluster.make_if_missing(where, binaries)
    places.remember_data(where.own)
    _clear_remains(where)
    wanted = sql_port.claimed(where.own)
    if wanted is not None:
        sql_port.refuse_unusable(wanted, where)
    sql_port.name_socket(wanted, where)
    cluster.configure(where, wanted)
    secret = cluster.password(where, binaries)
    start(where, binaries)
    started = _await_postmaster(where)
    if started is None or not _wait_until_it_answers(where, secret, started):
        raise Permanent(f"the embedded Postgres does not start: {_last_words(where)}")
    return secret


def prepare_programs(where: Places) -> Binaries:
    if not where.account.is_me:
        places.system_folder()
    return _binaries(where)


def _known_password(where: Places) -> str | None:
    try:
        return cluster.password_file(where).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def _answers(where: Places, secret: str) -> bool:
    """A real login with our password, which only our own server accepts."""
    try:
        psycopg.connect(url_of(where, secret, "postgres"), connect_timeout=10).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise Permanent(
                f"the password in {cluster.password_file(where)} is not the database's: restore that file,"
                " or move it away while nothing uses the database; MYI then sets a new one"
            ) from None
        if not is_mended_by_waiting(error):
            raise unreachable("the embedded Postgres", error) from None
        # Too many clients means the server is up; the next caller gets the error.
        return "too many clients" in str(error)
    return True


def _wait_until_it_answers(where: Places, secret: str, server: psutil.Process) -> bool:
    """True once the server answers, False if it ended. Crash recovery may take minutes. Raises Transient."""
    began = logged_at = time.monotonic()
    while not _answers(where, secret):
        if not server.is_running() or server.status() == psutil.STATUS_ZOMBIE:
            return False
        now = time.monotonic()
        if now - began > START_TIMEOUT_S:
            raise Transient(f"the embedded Postgres has not answered for {START_TIMEOUT_S:.0f} s: {_last_words(where)}")
        if now - logged_at > _LOG_EVERY_S:
            log.info("the embedded Postgres is still getting ready, after %.0f s (recovery from a crash?)", now - began)
            logged_at = now
        time.sleep(_POLL_S)
    return True


def _clear_remains(where: Places) -> None:
    """After a crash: end processes that outlived their postmaster, then remove stale lock files."""
    orphans = processes.survivors(where)
    if orphans:
        log.warning("ending %d processes that a crash of the embedded Postgres left behind", len(orphans))
        processes.end(orphans, patience_s=_ORPHANS_PATIENCE_S)
    (where.data / "postmaster.pid").unlink(missing_ok=True)
    for left in where.socket.glob(".s.PGSQL.*"):
        left.unlink(missing_ok=True)


def _start_log(where: Places) -> Path:
    return where.log / "start.log"


def start(where: Places, binaries: Binaries) -> None:
    _start_log(where).unlink(missing_ok=True)
    command = [
        binaries.path("pg_ctl"), "start", "-W", "-s", "-D", str(where.data), "-l", str(_start_log(where)),
        "-p", binaries.path("postgres"),
    ]  # fmt: skip
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False, **where.account.spawn()
    )
    if done.returncode != 0:
        raise Permanent(f"the embedded Postgres does not start: {_last_words(where)}")


def _await_postmaster(where: Places) -> psutil.Process | None:
    """pg_ctl returns before the server has written its pid file."""
    began = time.monotonic()
    while (found := processes.postmaster(where)) is None:
        waited = time.monotonic() - began
        if waited > 1 and (waited > 30 or "FATAL" in _first_words(where)) and not processes.survivors(where):
            return None
        time.sleep(_POLL_S)
    return found


def _first_words(where: Places) -> str:
    try:
        return _start_log(where).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def stop(where: Places) -> None:
    """Shut down cleanly in fast mode; returns when that is done."""
    running = processes.postmaster(where)
    if running is None:
        return
    command = [
        _binaries(where).path("pg_ctl"), "stop", "-s", "-D", str(where.data),
        "-m", "fast", "-w", "-t", str(STOP_TIMEOUT_S),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=STOP_TIMEOUT_S + 30, check=False, **where.account.spawn()
    )
    if done.returncode != 0 and processes.postmaster(where) is not None:
        log.warning("the embedded Postgres did not stop within %d s: %s", STOP_TIMEOUT_S, cluster.tail(done.stderr))


def _last_words(where: Places) -> str:
    """Why it did not start: its output before logging began, or else the end of its log."""
    newest = sorted(where.log.glob("postgres-*.log"), key=lambda path: path.stat().st_mtime)[-1:]
    text = ""
    for path in (*newest, _start_log(where)):
        with suppress(OSError):
            said = path.read_text(encoding="utf-8", errors="replace")[-4000:]
            if path not in newest and "FATAL" not in said:
                continue
            text = said
    hint = " (the disk is full)" if "No space left" in text else ""
    return cluster.tail(text) + hint


def _apply_wanted_port(where: Places, url: str) -> bool:
    """Make the server accept the connections that are wanted now; False if it must be restarted for that.

    The caller has a lease; `url` is the superuser's. Raises Busy if a restart is needed while others use the server.
    """
    wanted = sql_port.claimed(where.own)
    if _listening_port(where) != (wanted.port if wanted else None):
        others = leases.holders(where.own / "leases")
        others.remove(os.getpid())
        if not others:
            return False
        if wanted is not None:
            raise Busy(
                "the SQL port opens when the embedded Postgres starts, but other processes are using it"
                f" now ({', '.join(map(str, others))}): end these commands and shells, or start without the port"
            )
    if wanted is None:
        _close_port_unless_wanted(where, url)
    elif cluster.rules(where) != cluster.rules_for(wanted):
        cluster.write_rules(where, wanted)
        _reload(url)
    return True


def _close_port_unless_wanted(where: Places, url: str) -> None:
    """Refuse new TCP connections and close open ones, if the process that opened the port has ended.

    The port stays bound until the server ends: Postgres cannot change that while it runs.
    """
    if sql_port.claimed(where.own) is not None or cluster.rules(where) == cluster.rules_for(None):
        return
    cluster.write_rules(where, None)
    # A server that does not answer will read the rules when it is restarted.
    with suppress(psycopg.OperationalError):
        _reload(url)
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where client_addr is not null")


def _listening_port(where: Places) -> int | None:
    """The TCP port of the running server, from its pid file; None without one."""
    try:
        lines = (where.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        return int(lines[3]) if lines[5].strip() else None
    except (OSError, ValueError, IndexError):
        return None


def _reload(url: str) -> None:
    """Reload; returns once the old rules no longer apply to new connections. Raises psycopg.OperationalError."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        asked = connection.execute("select extract(epoch from clock_timestamp()), pg_reload_conf()").fetchone()
    deadline = time.monotonic() + _RELOAD_TIMEOUT_S
    while asked is not None and _loaded_at(url) < float(asked[0]) and time.monotonic() < deadline:
        time.sleep(_RELOAD_POLL_S)


def _loaded_at(url: str) -> float:
    """When the rules for new connections were loaded, in seconds since 1970."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        found = connection.execute("select extract(epoch from pg_conf_load_time())").fetchone()
    return float(found[0]) if found is not None else 0.0
