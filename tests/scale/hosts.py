"""Hosts on one machine that can lose their power, their network or a part of their processor.

Where it may be made (as root, on Linux), a host is a set of the kernel's namespaces: a network card of its own on a
bridge that leads nowhere else, process numbers, host name, mounts, boot id. Its first process is the host: whoever
kills that has killed everything in it, and it dies with the process that made it, however that ends. So nothing is
left, and nothing but the host's own is ever ended. Elsewhere a host is a set of processes on loopback, recognised by a
variable of their environment.

Hosts speak TCP with each other. The process that drives them reaches a port of theirs by `Host.door`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar
from uuid import uuid4

import psutil
import psycopg

from tests.conftest import free_port

LOOPBACK = "127.0.0.1"
_NETWORK = "10.77.0"
_BRIDGE = "bridge0"
# Not one of MYI_: MYI drops those for children that are trusted with no setting.
_MARK = "TEST_HOST_FOLDER"
_STEP_S = 60.0
_CLONE_NEWNET = 0x40000000
_CGROUPS = Path("/sys/fs/cgroup")
_PERIOD_US = 100_000
_LOOK_S = 0.02
_OWN_NAMESPACES = (
    # The kernel kills each of this chain when the one before it has ended, and with the last the whole host.
    "setpriv", "--pdeathsig", "KILL",
    "unshare", "--net", "--pid", "--mount", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip
# What a machine does when it is switched on. Its first process takes in orphans, and forgets those that end.
_BOOT = """
set -e
ip link set lo up
hostname "$1"
mount --bind "$2/hosts" /etc/hosts
mount --bind "$2/boot_id" /proc/sys/kernel/random/boot_id
if [ -e /etc/machine-id ]; then mount --bind "$2/machine-id" /etc/machine-id; fi
echo up
exec env --ignore-signal=CHLD sleep infinity
"""
T = TypeVar("T")


class HostFailed(Exception):
    """A host, or a program that was to run on it, did not do what was asked."""


def wait_until(
    what: str,
    look: Callable[[], T],
    *,
    within_s: float,
    every_s: float = 0.25,
    told: Callable[[], object] = lambda: "",
) -> T:
    """The first answer that is true. Raises HostFailed with what was waited for, and with what `told` knows of it."""
    deadline = time.monotonic() + within_s
    while True:
        # A machine that is busy with all of it lets whoever looks wait, too.
        with suppress(psycopg.OperationalError):
            if found := look():
                return found
        if time.monotonic() > deadline:
            raise HostFailed(f"{what}: not within {within_s:.0f} s\n{told()}")
        time.sleep(every_s)


class Host(ABC):
    """One host. `address` is where the others reach it; `folder` is its disk, which survives it."""

    # Whether it has a name, ports and process numbers of its own.
    is_apart = False

    def __init__(self, name: str, address: str, folder: Path) -> None:
        self.name, self.address, self.folder = name, address, folder
        self.share: CpuShare | None = None
        self._started: list[subprocess.Popen[str]] = []
        folder.mkdir(parents=True, exist_ok=True)
        # Accounts that serve for one program pass through.
        folder.chmod(0o755)

    @abstractmethod
    def boot(self) -> None:
        """Switch it on (again): nothing runs on it yet."""

    @abstractmethod
    def kill(self, *, silently: bool = False) -> None:
        """End all its processes at once, by SIGKILL; `silently`, as a power cut does it: nobody hears of it even by the
        kernel's closing of its connections."""

    @abstractmethod
    def cut_off(self) -> None:
        """Nothing reaches it and nothing leaves it any more; its processes go on."""

    @abstractmethod
    def reconnect(self) -> None: ...

    @abstractmethod
    def processes(self) -> list[psutil.Process]: ...

    @abstractmethod
    def port(self, usual: int) -> int:
        """Where a server of this host listens: at its usual port, if the host has all ports to itself."""

    @abstractmethod
    def door(self, port: int, *, address: str | None = None) -> int:
        """A port of this machine's loopback that leads to the host's, for whoever drives the hosts."""

    @abstractmethod
    def _on_host(self, command: Sequence[str]) -> list[str]: ...

    def start(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
        **how: Any,
    ) -> subprocess.Popen[str]:
        """A program that goes on. What it says is appended to `log`, else dropped."""
        words = self._on_host([str(word) for word in command])
        if self.share is not None:
            words = self.share.within(words)
        said: IO[bytes] | int = log.open("ab") if log is not None else subprocess.DEVNULL
        try:
            program = subprocess.Popen(
                words,
                env=self._environment(environment or {}),
                text=True,
                start_new_session=True,
                **{"stdin": subprocess.DEVNULL, "stdout": said, "stderr": said} | how,
            )
            self._started = [*(each for each in self._started if each.poll() is None), program]
            return program
        finally:
            if not isinstance(said, int):
                said.close()

    def run(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 120,
        codes: Sequence[int] = (0,),
    ) -> str:
        """What a program prints, once it has ended. Raises HostFailed when it ends with another code, or too late."""
        with self.start(command, environment=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
            try:
                said, complained = program.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                program.kill()
                raise HostFailed(f"{self.name}: {' '.join(map(str, command))} took over {timeout_s:.0f} s") from None
        if program.returncode not in codes:
            raise HostFailed(
                f"{self.name}: {' '.join(map(str, command))} ended with {program.returncode}\n"
                f"{said[-2000:]}\n{complained[-4000:]}"
            )
        return said

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Nothing that MYI reads is inherited: a host has what it is given."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MYI_", "PYTEST_", "COV_", "DAGSTER_")) and not name.lower().endswith("_proxy")
        }
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        temporary.chmod(0o1777)
        return inherited | {"TMPDIR": str(temporary), "HOME": str(self.folder), _MARK: self.mark} | dict(given)

    @property
    def mark(self) -> str:
        return str(self.folder)

    def remove(self) -> None:
        """Switch it off for good; its disk stays."""
        self.kill()
        if self.share is not None:
            self.share.remove()

    def _bury(self) -> None:
        """Take note of the end of all that was started on it."""
        for program in self._started:
            program.wait(_STEP_S)
        self._started.clear()


class _OwnNamespaces(Host):
    """A host of the kernel's namespaces, on the bridge of `switch` (which is one itself)."""

    is_apart = True

    def __init__(self, name: str, address: str, folder: Path, *, switch: _OwnNamespaces | None, names: Path) -> None:
        super().__init__(name, address, folder)
        self._switch, self._names = switch, names
        self._boots = 0
        self._outside: subprocess.Popen[str] | None = None
        self._doors: dict[tuple[str, int], _Door] = {}
        self.first = 0

    def boot(self) -> None:
        self.kill()
        self._boots += 1
        (self.folder / "boot_id").write_text(f"{uuid4()}\n", encoding="ascii")
        (self.folder / "machine-id").write_text(f"{uuid4().hex}\n", encoding="ascii")
        shutil.copyfile(self._names, self.folder / "hosts")
        self._outside = outside = subprocess.Popen(
            [*_OWN_NAMESPACES, "sh", "-c", _BOOT, "sh", self.name, str(self.folder)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert outside.stdout is not None
        assert outside.stderr is not None
        if outside.stdout.readline() != "up\n":
            raise HostFailed(f"{self.name} did not start: {outside.stderr.read()}")
        (first,) = psutil.Process(outside.pid).children()
        self.first = first.pid
        if self._switch is None:
            self._ip(f"link add {_BRIDGE} type bridge", f"link set {_BRIDGE} up")
        else:
            wire = f"{self._number}.{self._boots}"
            # Its card keeps its number, as a machine's does: the others remember it.
            card = f"02:00:00:00:00:{int(self.address.rpartition('.')[2]):02x}"
            self._switch._ip(
                f"link add {wire} type veth peer name eth0 address {card} netns {self.first}",
                f"link set {wire} master {_BRIDGE} up",
            )
            self._ip(f"addr add {self.address}/24 dev eth0", "link set eth0 up")

    def kill(self, *, silently: bool = False) -> None:
        if self._outside is not None and silently:
            self.cut_off()
        outside, self._outside = self._outside, None
        if outside is None:
            return
        with suppress(ProcessLookupError):
            # The kernel ends all others of the host with its first process.
            os.kill(self.first, signal.SIGKILL)
        outside.wait(_STEP_S)
        for pipe in (outside.stdout, outside.stderr):
            if pipe is not None:
                pipe.close()
        self._bury()

    def cut_off(self) -> None:
        self._wire("down")

    def reconnect(self) -> None:
        self._wire("up")

    def _wire(self, state: str) -> None:
        assert self._switch is not None
        self._switch._ip(f"link set {self._number}.{self._boots} {state}")

    @property
    def _number(self) -> str:
        return f"v{self.address.rpartition('.')[2]}"

    def processes(self) -> list[psutil.Process]:
        if self._outside is None:
            return []
        space = os.stat(f"/proc/{self.first}/ns/pid").st_ino
        found = []
        for process in psutil.process_iter():
            with suppress(OSError):
                if process.pid != self.first and os.stat(f"/proc/{process.pid}/ns/pid").st_ino == space:
                    found.append(process)
        return found

    def port(self, usual: int) -> int:
        return usual

    def door(self, port: int, *, address: str | None = None) -> int:
        where = (address or self.address, port)
        if where not in self._doors:
            self._doors[where] = _Door(lambda: f"/proc/{self.first}/ns/net", where)
        return self._doors[where].port

    def remove(self) -> None:
        for door in self._doors.values():
            door.close()
        super().remove()

    def _on_host(self, command: Sequence[str]) -> list[str]:
        return ["nsenter", "--target", str(self.first), "--net", "--pid", "--mount", "--uts", "--ipc", "--", *command]

    def _ip(self, *orders: str) -> None:
        for order in orders:
            command = ["nsenter", "--target", str(self.first), "--net", "--", "ip", *order.split()]
            done = subprocess.run(command, capture_output=True, text=True, timeout=_STEP_S, check=False)
            if done.returncode:
                raise HostFailed(f"{self.name}: ip {order}: {done.stderr}")


class _Door:
    """Connections from this machine's loopback into another network: each is made by a thread that has gone there."""

    def __init__(self, network: Callable[[], str], where: tuple[str, int]) -> None:
        self._network, self._where = network, where
        self._listening = socket.create_server((LOOPBACK, 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, name=f"door to {where}", daemon=True).start()

    def close(self) -> None:
        # Wakes the thread that accepts.
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                visitor, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(visitor,), daemon=True).start()

    def _pass_on(self, visitor: socket.socket) -> None:
        with visitor:
            try:
                with open(self._network(), "rb") as network:
                    if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), _CLONE_NEWNET):
                        return
                other = socket.create_connection(self._where, timeout=5)
            except OSError:
                return
            with other:
                other.settimeout(None)
                back = threading.Thread(target=_pump, args=(other, visitor), daemon=True)
                back.start()
                _pump(visitor, other)
                back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class _Processes(Host):
    """A host where there are no namespaces: all processes that were started on it, wherever they went."""

    def boot(self) -> None:
        self.kill()

    def kill(self, *, silently: bool = False) -> None:
        # Until none is left: one of them may be starting another at this moment.
        while found := self.processes():
            for process in found:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(found, timeout=_STEP_S)
        self._bury()

    def cut_off(self) -> None:
        """They stand still: nobody hears from them, and they come back in the middle of what they did."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.suspend()

    def reconnect(self) -> None:
        for process in self.processes():
            with suppress(psutil.Error):
                process.resume()

    def processes(self) -> list[psutil.Process]:
        # A server that writes its title over its environment (Redis) is known as what was started, or as a child.
        started = {program.pid for program in self._started if program.poll() is None}
        own = {process for process in psutil.process_iter() if process.pid in started or self._is_marked(process)}
        for process in list(own):
            with suppress(psutil.Error):
                own.update(process.children(recursive=True))
        return [process for process in own if process.pid != os.getpid() and _is_there(process)]

    def _is_marked(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return process.environ().get(_MARK) == self.mark
        return False

    def port(self, usual: int) -> int:
        return free_port()

    def door(self, port: int, *, address: str | None = None) -> int:
        return port

    def _on_host(self, command: Sequence[str]) -> list[str]:
        return list(command)


def _is_there(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


class CpuShare:
    """So many cores for all processes of one host together, by the kernel's control groups (version 1 or 2). They go
    before what else this machine does, so that a busy one gives them as much as an idle one."""

    def __init__(self, name: str, cores: float) -> None:
        self._is_v2 = (_CGROUPS / "cgroup.controllers").exists()
        roots = [_CGROUPS] if self._is_v2 else [_CGROUPS / "cpu", _CGROUPS / "cpuacct"]
        self._folders = [root / f"myi-scale-{os.getpid()}-{name}" for root in roots]
        for folder in self._folders:
            folder.mkdir()
        quota = int(cores * _PERIOD_US)
        if self._is_v2:
            (self._folders[0] / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
            (self._folders[0] / "cpu.weight").write_text("10000")
        else:
            (self._folders[0] / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (self._folders[0] / "cpu.cfs_quota_us").write_text(str(quota))
            (self._folders[0] / "cpu.shares").write_text("102400")

    def within(self, command: Sequence[str]) -> list[str]:
        enter = " && ".join(f"echo $$ > {folder}/cgroup.procs" for folder in self._folders)
        return ["sh", "-c", f'{enter} && exec "$@"', "sh", *command]

    def used_s(self) -> float:
        """CPU seconds of its processes so far, ended ones included."""
        if self._is_v2:
            lines = (line.split() for line in (self._folders[0] / "cpu.stat").read_text().splitlines())
            return int(dict(lines)["usage_usec"]) / 1e6
        return int((self._folders[1] / "cpuacct.usage").read_text()) / 1e9

    def remove(self) -> None:
        for folder in self._folders:
            # The last of them may still be leaving.
            wait_until(f"{folder} is empty", lambda folder=folder: not _members(folder), within_s=_STEP_S)  # type: ignore[misc]
            folder.rmdir()

    @staticmethod
    def clear_what_was_left() -> None:
        """Groups of processes that were killed before they could remove them."""
        for root in (_CGROUPS, _CGROUPS / "cpu", _CGROUPS / "cpuacct"):
            for left in root.glob("myi-scale-*"):
                if not psutil.pid_exists(int(left.name.split("-")[2])):
                    with suppress(OSError):
                        left.rmdir()

    @staticmethod
    def can_be_made() -> bool:
        root = _CGROUPS if (_CGROUPS / "cgroup.controllers").exists() else _CGROUPS / "cpu"
        return os.access(root, os.W_OK) and os.geteuid() == 0


def _members(group: Path) -> str:
    return (group / "cgroup.procs").read_text(encoding="ascii")


def can_make_namespaces() -> bool:
    """Whether this process may make hosts that are apart from each other."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("ip"):
        return False
    probe = [
        *_OWN_NAMESPACES,
        "sh",
        "-c",
        f"ip link add v0 type veth peer name v1 && ip link add {_BRIDGE} type bridge",
    ]
    try:
        return subprocess.run(probe, capture_output=True, timeout=_STEP_S, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


class Machines:
    """The hosts of one test, by name."""

    def __init__(self, folder: Path, *, namespaces: bool, cores: float | None = None) -> None:
        self.folder, self.has_namespaces, self._cores = folder, namespaces, cores
        self._hosts: dict[str, Host] = {}
        self._names = folder / "hosts"
        self._names.write_text(f"{LOOPBACK} localhost\n", encoding="ascii")
        self._switch: _OwnNamespaces | None = None
        if namespaces:
            self._switch = _OwnNamespaces("switch", "", folder / "switch", switch=None, names=self._names)
            self._switch.boot()

    def host(self, name: str, *, cores: float | None = None) -> Host:
        """A new one, switched on; it may use so many cores, of which note is taken then."""
        cores = cores or self._cores
        made: Host
        if self._switch is None:
            made = _Processes(name, LOOPBACK, self.folder / name)
        else:
            address = f"{_NETWORK}.{len(self._hosts) + 1}"
            with self._names.open("a", encoding="ascii") as names:
                names.write(f"{address} {name}\n")
            made = _OwnNamespaces(name, address, self.folder / name, switch=self._switch, names=self._names)
        if cores is not None:
            made.share = CpuShare(name, cores)
        self._hosts[name] = made
        made.boot()
        return made

    def close(self) -> None:
        with ExitStack() as stack:
            # One that cannot be ended keeps none of the others.
            for host in [*self._hosts.values(), *([self._switch] if self._switch else [])]:
                stack.callback(host.remove)


@contextmanager
def machines(folder: Path, *, namespaces: bool | None = None, cores: float | None = None) -> Iterator[Machines]:
    """Hosts for as long as the block lasts; without namespaces where none can be made, or where that is asked for.
    Each may use so many cores, unless it is given another number."""
    CpuShare.clear_what_was_left()
    made = Machines(folder, namespaces=can_make_namespaces() if namespaces is None else namespaces, cores=cores)
    try:
        yield made
    finally:
        made.close()
