"""A process that works on logins in children of its own and kills them where it is told to.

Run as `python -m tests.integration.credentials.worker_process`. The first line of standard input holds the setup; each
further one is an Order. Each order is carried out by a fork of this process, which has imported all modules already;
one Outcome a line comes back. A step is the moment before or after a statement, a commit, or a request over HTTP.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import psycopg

from myi_pipeline.catalogue import catalogue_store
from myi_pipeline.errors import Transient
from myi_pipeline.playlists import gather_users, store
from myi_pipeline.playlists.migration import applying, moving
from myi_pipeline.playlists.migration import store as migration_store
from myi_pipeline.playlists.migration.steps import Outcome as Written
from myi_pipeline.playlists.migration.targets import open_target
from myi_pipeline.polling import poll_one_user, poll_store, poll_users
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers import accounts, asking, encryption_keys, oauth_tokens, token_vault
from myi_pipeline.providers.sign_in_rules import TokenGrant
from myi_pipeline.providers.spotify import client, oauth, refresh_credentials
from myi_pipeline.providers.spotify.open_spotify import open_spotify
from myi_pipeline.settings import Settings, load_settings

STEPS = (
    (psycopg.Connection, "execute"),
    (psycopg.Transaction, "__exit__"),
    (client, "send"),
    (oauth_tokens, "send"),
    (asking, "send"),
)
# The exit code of a child that could not go on now, and can later.
LATER = 75


# The named points of a poll: before and after each of these.
POINTS = {
    "lock": (poll_store, "poll_lock"),
    "state": (poll_store, "read_state"),
    "request": (client, "send"),
    "known": (poll_store, "known_plays"),
    "partitions": (poll_one_user, "ensure_partitions"),
    "contents": (catalogue_store, "intern_tracks"),
    "plays": (poll_store, "insert_plays"),
    "gap ends": (poll_store, "close_open_gap"),
    "gaps": (poll_store, "add_gaps"),
    "new state": (poll_store, "store_state"),
    "log": (poll_store, "record_poll"),
    "commit": (psycopg.Transaction, "__exit__"),
}


@dataclass(frozen=True, kw_only=True)
class Order:
    """`task` is `poll` (refresh and one request), `poll_users` (all of it), `gather_playlists`, `move_playlist` (of
    `migration_id`) or `rotate`.

    Killed at a step (from 1), or (None) not at all.
    """

    task: str
    now: str
    user_ids: tuple[int, ...] = ()
    migration_id: int = 0
    kill_at_step: int | None = None
    kill_at_point: str | None = None
    kill_after_s: float | None = None
    is_broken: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    was_killed: bool
    code: int
    seconds: float


def kill_at(step: int) -> None:
    count = 0

    def pass_by() -> None:
        nonlocal count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(5)

    def watched(method: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            pass_by()
            result = method(*args, **options)
            pass_by()
            return result

        return call

    for owner, name in STEPS:
        setattr(owner, name, watched(getattr(owner, name)))


def kill_at_point(point: str) -> None:
    """`point` is a name of POINTS and `before` or `after`."""
    when, _, name = point.partition(" ")
    owner, attribute = POINTS[name]
    whole = getattr(owner, attribute)

    def call(*args: Any, **options: Any) -> Any:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = whole(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, attribute, call)


def use_before_commit(accounts: oauth.AccountsClient, url: str) -> None:
    """The broken variant: the new access token is used before the new refresh token is committed."""
    committed = token_vault.note_refreshed
    granted: list[TokenGrant] = []
    refresh = oauth.AccountsClient.refresh

    def remember(self: oauth.AccountsClient, token: str) -> TokenGrant:
        granted.append(refresh(self, token))
        return granted[-1]

    def use_then_commit(*args: Any, **options: Any) -> None:
        headers = {"Authorization": f"Bearer {granted[-1].access.value}"}
        client.send(accounts._http, "GET", f"{url}/me/player/recently-played", headers=headers)
        committed(*args, **options)

    oauth.AccountsClient.refresh = remember  # type: ignore[method-assign]
    refresh_credentials.token_vault.note_refreshed = use_then_commit


def commit_in_pieces() -> None:
    """The broken variant of poll_users: plays, state, log and gaps each commit by themselves."""

    def no_transaction(_: psycopg.Connection[Any], *__: Any, **___: Any) -> nullcontext[None]:
        return nullcontext()

    def run(transaction: Callable[[], Any]) -> Any:
        whole = psycopg.Connection.transaction
        psycopg.Connection.transaction = no_transaction  # type: ignore[assignment]
        try:
            return transaction()
        finally:
            psycopg.Connection.transaction = whole  # type: ignore[method-assign]

    poll_one_user.retry_conflicts = run  # type: ignore[assignment]


def store_in_pieces() -> None:
    """The broken variant of gathering: a playlist's row, entries and version each commit by themselves."""

    def no_transaction(_: psycopg.Connection[Any], *__: Any, **___: Any) -> nullcontext[None]:
        return nullcontext()

    def run(transaction: Callable[[], Any]) -> Any:
        whole = psycopg.Connection.transaction
        psycopg.Connection.transaction = no_transaction  # type: ignore[assignment]
        try:
            return transaction()
        finally:
            psycopg.Connection.transaction = whole  # type: ignore[method-assign]

    store.retry_conflicts = run  # type: ignore[assignment]


def repeat_blindly() -> None:
    """The broken variant of moving a playlist: a write without an answer is taken for one that was not done."""
    write = applying.Applier._write
    seen: list[Any] = []

    def remember(self: applying.Applier, step: Any, entries: Any, numbers: Any) -> Any:
        seen[:] = [entries]
        return write(self, step, entries, numbers)

    def repeat(self: applying.Applier) -> Any:
        sent = self.journal.unsettled()
        if sent is not None:
            self.journal.settle(sent, Written.NOT_DONE)
        return seen[0]

    applying.Applier._write = remember  # type: ignore[method-assign]
    applying.Applier._after_lost_answer = repeat  # type: ignore[method-assign]


def move_playlist(settings: Settings, warehouse: Warehouse, order: Order) -> None:
    """What `myi migrate-playlist apply` does. A clock that stands still, and no waits."""
    now = datetime.fromisoformat(order.now)
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        (user_id,) = order.user_ids
        migration = migration_store.get_migration(connection, user_id=user_id, migration_id=order.migration_id)
        account = accounts.find_account(connection, account_id=migration.target_account_id)
        assert account is not None
        with open_target(settings, warehouse, account, clock=lambda: now, sleep=lambda _: None) as target:
            if order.kill_at_step is not None:
                kill_at(order.kill_at_step)
            try:
                moving.run(connection, target, migration, clock=lambda: now, sleep=lambda _: None)
            except Transient:
                os._exit(LATER)


def carry_out(settings: Settings, warehouse: Warehouse, order: Order) -> None:
    now = datetime.fromisoformat(order.now)
    if order.task == "rotate":
        if order.kill_at_step is not None:
            kill_at(order.kill_at_step)
        keys = encryption_keys.require_keys(settings, warehouse)
        with warehouse.connect(Role.INGEST, autocommit=True) as connection:
            encryption_keys.rotate_keys(connection, keys)
        return
    if order.task == "move_playlist":
        if order.is_broken:
            repeat_blindly()
        move_playlist(settings, warehouse, order)
        return
    if order.task == "gather_playlists":
        if order.is_broken:
            store_in_pieces()
        if order.kill_at_step is not None:
            kill_at(order.kill_at_step)
        gather_users.gather_users(settings, warehouse, force=True, clock=lambda: now, sleep=lambda _: None, workers=1)
        return
    if order.task == "poll_users":
        if order.is_broken:
            commit_in_pieces()
        if order.kill_at_step is not None:
            kill_at(order.kill_at_step)
        if order.kill_at_point is not None:
            kill_at_point(order.kill_at_point)
        ids = order.user_ids
        results = poll_users.poll_users(
            settings, warehouse, user_ids=ids, force=True, clock=lambda: now, sleep=lambda _: None, workers=1
        )
        assert all(result.polled for result in results), results
        return
    with open_spotify(settings, warehouse, clock=lambda: now) as spotify:
        if order.is_broken:
            use_before_commit(spotify.accounts(str(settings.spotify_client_id)), settings.spotify_api_url)
        if order.kill_at_step is not None:
            kill_at(order.kill_at_step)
        for user_id in order.user_ids:
            spotify.call(user_id, lambda api, token: api.recently_played(token))


def supervise(settings: Settings, warehouse: Warehouse, order: Order) -> Outcome:
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            carry_out(settings, warehouse, order)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    if order.kill_after_s is not None:
        time.sleep(order.kill_after_s)
        # Not reaped yet, so the number is still the child's, dead or alive.
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return Outcome(was_killed=code == -signal.SIGKILL, code=code, seconds=time.monotonic() - started)


def main(orders: TextIO, answers: TextIO) -> None:
    setup = json.loads(orders.readline())
    settings = load_settings(setup["environment"])
    warehouse = Warehouse(urls={Role(role): url for role, url in setup["urls"].items()}, dagster_url=setup["dagster"])
    for line in orders:
        outcome = supervise(settings, warehouse, Order(**json.loads(line)))
        answers.write(json.dumps(asdict(outcome)) + "\n")
        answers.flush()


class Worker:
    """The test's side of the pipe."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def carry_out(self, order: Order) -> Outcome:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        return Outcome(**json.loads(self._process.stdout.readline()))


@contextmanager
def running_worker(settings: Settings, warehouse: Warehouse, log: Path) -> Iterator[Worker]:
    """What its children say goes to `log`."""
    root = Path(__file__).resolve().parents[3]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MYI_")}
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.credentials.worker_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            cwd=root,
            env=inherited | {"PYTHONPATH": str(root)},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        setup = {
            "environment": settings.environment(),
            "urls": {role.value: warehouse.url(role) for role in Role},
            "dagster": warehouse.dagster_url(),
        }
        process.stdin.write(json.dumps(setup) + "\n")
        process.stdin.flush()
        try:
            yield Worker(process)
        finally:
            process.stdin.close()
            process.wait(30)
            process.stdout.close()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
