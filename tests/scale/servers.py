"""The servers that an installation on several hosts stands on, each on a host of its own.

Postgres from the programs that MYI brings, started as an external server: TCP alone, passwords for everybody. Redis
and RabbitMQ as Debian has them. The simulated Spotify is the project's own. The brokers begin where they left off when
their host has been killed and is there again.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path

import psycopg

from myi_pipeline.postgres.connections import with_parameters
from myi_pipeline.postgres.embedded.accounts import choose_account
from myi_pipeline.postgres.embedded.binaries import find_binaries, reachable
from myi_pipeline.simulator.live import MovableClock, Simulator, SimulatorSpec
from myi_pipeline.simulator.live.control import Control
from tests.s3_server import S3Server, SignatureCheck
from tests.scale.hosts import LOOPBACK, Host, HostFailed, wait_until

_ANSWERS_S = 90.0
_RELAY = Path(__file__).with_name("relay.py")
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class Postgres:
    """An external server. `url` is the administrator's, for hosts; `door_url` for whoever drives them."""

    def __init__(self, host: Host, *, settings: tuple[str, ...] = ()) -> None:
        self.host, self._settings = host, settings
        self._password = secrets.token_hex(16)
        self._port = host.port(5432)
        self._account = choose_account()
        self._data = host.folder / "data"
        self._data.mkdir()
        self._account.owns(self._data)
        programs = host.folder / "programs"
        programs.mkdir()
        self._programs = reachable(find_binaries(), self._account, system_folder=programs)
        self._make()
        self.start()

    @property
    def url(self) -> str:
        """TLS is not what is tested here, and no certificate is made for it."""
        return f"postgresql://postgres:{self._password}@{self.host.address}:{self._port}/myi?sslmode=disable"

    @property
    def door_url(self) -> str:
        return with_parameters(self.url, host=LOOPBACK, port=str(self.host.door(self._port)))

    def start(self) -> None:
        options = {
            "listen_addresses": self.host.address,
            "port": str(self._port),
            "unix_socket_directories": "",
            "max_connections": "300",
            "shared_buffers": "256MB",
        } | dict(each.split("=", 1) for each in self._settings)
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self.host.start(
            [*self._as_account(), self._programs.path("postgres"), "-D", self._data, *words],
            environment={"LC_ALL": "C"},
            log=self.host.folder / "postgres.log",
        )
        wait_until("Postgres answers", self._answers, within_s=_ANSWERS_S, told=self._log)

    def _make(self) -> None:
        password = self.host.folder / "password"
        self._account.write_new(password, self._password)
        self.host.run(
            [
                *self._as_account(), self._programs.path("initdb"), "-D", self._data, "--username=postgres",
                "--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C", "--no-sync",
            ],
            environment={"LC_ALL": "C"},
        )  # fmt: skip
        password.unlink()
        with (self._data / "pg_hba.conf").open("a", encoding="ascii") as hba:
            hba.write("host all all samenet scram-sha-256\n")

    def _as_account(self) -> list[str]:
        if self._account.is_me:
            return []
        return ["setpriv", f"--reuid={self._account.uid}", f"--regid={self._account.gid}", "--clear-groups", "--"]

    def _answers(self) -> bool:
        try:
            psycopg.connect(with_parameters(self.door_url, dbname="postgres"), connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def _log(self) -> str:
        return (self.host.folder / "postgres.log").read_text(encoding="utf-8", errors="replace")[-3000:]


class Redis:
    """A broker, or the place for results. What it was told is on its disk before it answers."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._password = secrets.token_hex(16)
        self._port = host.port(6379)
        self.start()

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{self.host.address}:{self._port}/0"

    def start(self) -> None:
        folder = self.host.folder / "redis"
        folder.mkdir(exist_ok=True)
        settings = folder / "redis.conf"
        settings.write_text(
            f"bind {self.host.address}\nport {self._port}\nrequirepass {self._password}\ndir {folder}\n"
            # A worker that lost its network is gone before it is handed the next task.
            "tcp-keepalive 15\n"
            "appendonly yes\nappendfsync always\nsave ''\n",
            encoding="ascii",
        )
        settings.chmod(0o600)
        self.host.start(["redis-server", settings], log=folder / "log")
        wait_until("Redis answers", lambda: listens(self.host, self._port), within_s=_ANSWERS_S)


class RabbitMq:
    """A broker whose queues and messages outlive it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._password = secrets.token_hex(16)
        self._port = host.port(5672)
        self._names, self._between_nodes = host.port(4369), host.port(25672)
        self.start()

    @property
    def url(self) -> str:
        return f"amqp://myi:{self._password}@{self.host.address}:{self._port}//"

    def start(self) -> None:
        folder = self.host.folder / "rabbitmq"
        folder.mkdir(exist_ok=True)
        settings = folder / "rabbitmq.conf"
        settings.write_text(
            f"listeners.tcp.default = {self.host.address}:{self._port}\ndefault_user = myi\n"
            f"default_pass = {self._password}\nloopback_users = none\n",
            encoding="ascii",
        )
        settings.chmod(0o600)
        plugins = folder / "enabled_plugins"
        plugins.write_text("[].\n", encoding="ascii")
        # As its own wrapper would start it, but as this account.
        self.host.start(
            [RABBITMQ],
            environment={
                "RABBITMQ_NODENAME": "rabbit@localhost",
                "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
                "RABBITMQ_LOG_BASE": str(folder / "logs"),
                "RABBITMQ_CONFIG_FILE": str(settings),
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
                "RABBITMQ_DIST_PORT": str(self._between_nodes),
                "ERL_EPMD_PORT": str(self._names),
                "ERL_EPMD_ADDRESS": LOOPBACK,
            },
            log=folder / "log",
        )
        wait_until("RabbitMQ answers", lambda: listens(self.host, self._port), within_s=_ANSWERS_S)


class Spotify:
    """The simulated Spotify as a host of its own, with the clock that it goes by."""

    def __init__(self, host: Host, spec: SimulatorSpec, clock: MovableClock) -> None:
        self.host, self.clock = host, clock
        port = host.port(8890)
        order = {
            "spec": spec.model_dump(mode="json"),
            "now": clock.now().isoformat(),
            "speed": clock.speed,
            "port": port,
            "host": host.address,
        }
        self._child = host.start(
            [sys.executable, "-m", "myi_pipeline.simulator.live"],
            log=host.folder / "spotify.log",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(order) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise HostFailed(f"the simulator did not start: {(host.folder / 'spotify.log').read_text()[-2000:]}")
        url = str(json.loads(line)["url"])
        self.port = int(url.rpartition(":")[2])
        # Its controls answer on the host itself alone.
        control = Control(f"http://{LOOPBACK}:{host.door(self.port, address=LOOPBACK)}", follower=clock)
        self.simulator = Simulator(spec=spec, accounts_url=url, control=control)

    def reach_from(self, host: Host) -> None:
        """Let that host, which has just been switched on, find it at `environment`."""
        if host.is_apart:
            host.start(
                [sys.executable, "-S", _RELAY, str(self.port), self.host.address, str(self.port)],
                log=host.folder / "relay.log",
            )

    def environment(self) -> dict[str, str]:
        here = f"http://{LOOPBACK}:{self.port}"
        return {
            "MYI_SPOTIFY_API_URL": f"{here}/v1",
            "MYI_SPOTIFY_ACCOUNTS_URL": here,
            "MYI_SPOTIFY_IMAGES_URL": here,
        }

    def close(self) -> None:
        self.simulator.control.close()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()


class ObjectStore:
    """An S3 server that checks every signature. It keeps what it has in memory."""

    BUCKET = "myi"

    def __init__(self, host: Host) -> None:
        self.host = host
        port = host.port(9000)
        server = S3Server(f"http://{host.address}:{port}", SignatureCheck(lambda *_: ()))
        self.options = server.options
        host.start(
            [sys.executable, "-m", "tests.scale.object_store", host.address, str(port), self.BUCKET],
            log=host.folder / "store.log",
            cwd=Path(__file__).parents[2],
        )
        door = S3Server(f"http://{LOOPBACK}:{host.door(port)}", server.check)
        wait_until("the object store answers", lambda: self._has_bucket(door), within_s=_ANSWERS_S)

    def _has_bucket(self, door: S3Server) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self.BUCKET in [each["Name"] for each in door.client.list_buckets()["Buckets"]]
        except (BotoCoreError, ClientError):
            return False


def listens(host: Host, port: int, *, address: str | None = None) -> bool:
    """Asked on the host itself, since a door opens whether or not somebody is behind it."""
    look = f"import socket; socket.create_connection(({address or host.address!r}, {port}), timeout=2).close()"
    try:
        host.run([sys.executable, "-S", "-c", look], timeout_s=20)
    except HostFailed:
        return False
    return True
