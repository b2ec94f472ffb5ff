"""Where the embedded server's files lie.

Belongs here: choosing the folders once, writing the choice down, and checking it at every start. Not here: what is in
them. Below MYI_HOME/postgres unless the server's account cannot get there (root's closed folders): then in a system
folder. Sockets need a path of at most 107 bytes. Invariant: no folder that MYI did not make changes its mode, and a
socket folder is a real folder of mode 0700 that belongs to the server's account.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from myi_pipeline.core.errors import Permanent
from myi_pipeline.warehouse.embedded.accounts import Account, account_of, choose_account
from myi_pipeline.warehouse.role_passwords import private_folder, write_private

log = logging.getLogger(__name__)

SOCKET_NAME = ".s.PGSQL.5432"
# sun_path holds 108 bytes on Linux and 104 on macOS, with the closing zero; ".lock" is no socket.
LONGEST_SOCKET_PATH = 103 if sys.platform == "darwin" else 107
# pg_ctl hands its paths to a shell, in double quotes.
_SHELL_CHARACTERS = frozenset('\\"$`\n')
SYSTEM_FOLDER = Path("/var/lib/myi-postgres") if sys.platform == "linux" else Path("/Library/myi-postgres")
SYSTEM_RUN_FOLDER = Path("/run") if sys.platform == "linux" else Path("/var/run")


@dataclass(frozen=True)
class Places:
    """`own` is MYI_HOME/postgres, this user's; `area` holds what the server's account owns (often the same)."""

    own: Path
    area: Path
    socket: Path
    account: Account
    server_id: str

    @property
    def data(self) -> Path:
        return self.area / "data"

    @property
    def log(self) -> Path:
        return self.area / "log"

    @property
    def cluster_name(self) -> str:
        return f"myi-{self.server_id}"


def prepare(home: Path) -> Places:
    """Find the places of this home's server, or choose and make them. The caller holds the home's lock."""
    own = home / "postgres"
    record = own / "places.json"
    known = _read(record)
    server_id = known.get("server_id") or secrets.token_hex(6)
    area = Path(known["area"]) if "area" in known else None
    if area is not None and (area / "data").exists():
        account = account_of(area / "data")
    else:
        account = choose_account()
        area = _choose_area(own, account, server_id)
    if not account.may("-x", area):
        raise Permanent(
            f"the account {account.name} cannot reach the database in {area}: a parent folder is closed to it"
        )
    _given_to(account, area / "log")
    socket = Path(known["socket"]) if "socket" in known else None
    if socket is None or not _is_safe(socket, account):
        socket = _choose_socket(area, account, server_id)
    chosen = {"server_id": server_id, "area": str(area), "socket": str(socket)}
    if chosen != known:
        write_private(record, json.dumps(chosen, indent=1) + "\n")
    return Places(own, area, socket, account, server_id)


def make_home(home: Path) -> None:
    """MYI_HOME, closed to others; root's lets the server's account through, but shows nothing. Raises Permanent."""
    try:
        if not home.exists():
            home.parent.mkdir(parents=True, exist_ok=True)
            _make(home, _closed_mode())
    except OSError as error:
        raise Permanent(f"MYI_HOME cannot be made at {home}: {error.strerror}") from error


def make_own(home: Path) -> Path:
    """MYI_HOME/postgres. Raises Permanent."""
    if not _SHELL_CHARACTERS.isdisjoint(str(home)):
        raise Permanent(f'the embedded Postgres cannot start below {home}: set MYI_HOME to a path without \\ " $ or `')
    make_home(home)
    own = home / "postgres"
    try:
        _make(own, _closed_mode())
    except OSError as error:
        raise Permanent(f"MYI_HOME cannot be used at {home}: {error.strerror}") from error
    owner = own.stat().st_uid
    if owner != os.geteuid():
        raise Permanent(f"{own} belongs to another user (number {owner}): run MYI as that user, or set MYI_HOME")
    return own


def system_folder() -> Path:
    """Root's folder for what the server's account must reach and MYI_HOME cannot hold."""
    if not SYSTEM_FOLDER.exists():
        _make(SYSTEM_FOLDER, 0o711)
    found = SYSTEM_FOLDER.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise Permanent(f"{SYSTEM_FOLDER} must be a folder that root owns and nobody else can write")
    return SYSTEM_FOLDER


def _choose_area(own: Path, account: Account, server_id: str) -> Path:
    if account.may("-x", own):
        return own
    area = system_folder() / server_id
    if not area.exists():
        _make(area, 0o711)
        (area / "home.txt").write_text(f"{own.parent}\n", encoding="utf-8")
        log.warning(
            "the account %s cannot enter %s, so the database itself lies in %s: back up both", account.name, own, area
        )
    return area


def _choose_socket(area: Path, account: Account, server_id: str) -> Path:
    """Beside the data if the path is short enough; else in a folder for such things, at last in a fresh private one."""
    runtime = SYSTEM_RUN_FOLDER if os.geteuid() == 0 else Path(f"/run/user/{os.geteuid()}")
    for folder in (area / "run", runtime / f"myi-{server_id}"):
        if not _is_short(folder) or not _is_trusted(folder.parent):
            continue
        try:
            _given_to(account, folder)
        except OSError:
            continue
        if _is_safe(folder, account) and account.may("-w", folder):
            return folder
    made = Path(tempfile.mkdtemp(prefix="myi-", dir="/tmp"))  # new, ours, 0700
    account.owns(made)
    return made


def _is_short(folder: Path) -> bool:
    return len(os.fsencode(folder / SOCKET_NAME)) <= LONGEST_SOCKET_PATH


def _is_trusted(parent: Path) -> bool:
    """Only root or this user can put or swap something there."""
    try:
        found = parent.stat()
    except OSError:
        return False
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & 0o022


def _is_safe(folder: Path, account: Account) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and stat.S_IMODE(found.st_mode) == 0o700


def _given_to(account: Account, folder: Path) -> None:
    if account.is_me:
        private_folder(folder)
        return
    if not folder.exists():
        _make(folder, 0o700)
        account.owns(folder)


def _closed_mode() -> int:
    return 0o711 if os.geteuid() == 0 else 0o700


def _make(folder: Path, mode: int) -> None:
    """A new folder with exactly this mode, whatever the umask; one that another process just made stays as it is."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    folder.chmod(mode)


def _read(record: Path) -> dict[str, str]:
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError):
        raise Permanent(f"{record} is damaged, so the database's place is unknown: restore it from a backup") from None
