"""Where the embedded server's files are.

They are in MYI_HOME/postgres, unless the server's account has no access to it: root's data are in a system folder.
Paths below MYI_HOME are stored as relative ones, so that homes can be moved and copied. The mode of a folder that MYI
did not create is never changed, and a socket folder is a real folder of mode 0700 that belongs to the server's account.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from myi_pipeline.errors import OwnedByAnotherHome, Permanent
from myi_pipeline.postgres.embedded import ownership, processes, swapping
from myi_pipeline.postgres.embedded.accounts import Account, account_of, choose_account
from myi_pipeline.postgres.embedded.ownership import HomeIdentity
from myi_pipeline.postgres.embedded.socket_folders import LONGEST_SOCKET_PATH, choose_socket_folder, is_safe, make_for
from myi_pipeline.postgres.folders import require_folder
from myi_pipeline.postgres.role_passwords import write_private

__all__ = ["LONGEST_SOCKET_PATH", "SOCKET_NAME", "SYSTEM_FOLDER", "Places", "prepare"]

log = logging.getLogger(__name__)

SOCKET_NAME = ".s.PGSQL.5432"
# pg_ctl passes its paths to a shell, in double quotes.
_SHELL_CHARACTERS = frozenset('\\"$`\n')
SYSTEM_FOLDER = Path("/var/lib/myi-postgres") if sys.platform == "linux" else Path("/Library/myi-postgres")


@dataclass(frozen=True)
class Places:
    """`own` is MYI_HOME/postgres, owned by this user; `area`, often the same, is for the server's account."""

    own: Path
    area: Path
    socket: Path
    account: Account
    server_id: str
    # The original, if this home is a copy; reset by confirm_copy().
    copied_from: str | None = None

    @property
    def home(self) -> Path:
        return self.own.parent

    @property
    def data(self) -> Path:
        return self.area / "data"

    @property
    def log(self) -> Path:
        return self.area / "log"

    @property
    def cluster_name(self) -> str:
        return f"myi-{self.server_id}"


@dataclass(frozen=True)
class _Record:
    """places.json: earlier choices. Paths are absolute, or relative to MYI_HOME/postgres."""

    server_id: str | None = None
    area: str | None = None
    socket: str | None = None
    home: HomeIdentity | None = None
    # Whether the database existed at the last start.
    has_data: bool = False
    copied_from: str | None = None

    @classmethod
    def read(cls, path: Path) -> _Record:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            home = HomeIdentity.parse(json.dumps(found["home"])) if "home" in found else None
            server_id, area, socket = (
                None if found.get(name) is None else str(found[name]) for name in ("server_id", "area", "socket")
            )
            copied_from = found.get("copied_from")
            return cls(server_id, area, socket, home, found.get("has_data") is True, copied_from and str(copied_from))
        except FileNotFoundError:
            return cls()
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Permanent(
                f"{path} is damaged, so the database's place is unknown: restore it from a backup"
            ) from None

    def as_text(self) -> str:
        values = {name: getattr(self, name) for name in ("server_id", "area", "socket", "has_data", "copied_from")}
        home = {} if self.home is None else {"home": json.loads(self.home.as_text())}
        return json.dumps({**values, **home}, indent=1) + "\n"


def prepare(home: Path, *, adopting: bool = False) -> Places:
    """Find the paths for this home's server, or choose and create them. The caller holds the home's lock.

    `adopting` takes over data that another home owns. Raises Permanent, and OwnedByAnotherHome.
    """
    home = home.resolve()
    own = home / "postgres"
    record = own / "places.json"
    known = _Record.read(record)
    me = HomeIdentity.of(home)
    area = _known_area(own, known)
    if area is not None:
        swapping.settle(own, area)
    copied_from = known.copied_from
    if area is not None and (area / "data").exists():
        account = account_of(area / "data")
        copied_from = _original_of(area, home=home, me=me) or copied_from
        is_new_home = _own_data(area, home=home, me=me, account=account, adopting=adopting)
        # Earlier versions stored absolute paths, which in a copied home point to the original.
        is_new_home |= known.home is None and area == own and Path(known.area or own).resolve() != own
    else:
        _refuse_missing_data(own, known, area)
        account = choose_account()
        is_new_home = known.home is not None and not known.home.is_same_folder(me)
        area = None
    is_running = area is not None and processes.running_in(area / "data") is not None
    # A running server keeps the names that it was started with.
    is_new_home = is_new_home and not is_running
    server_id = (None if is_new_home else known.server_id) or secrets.token_hex(6)
    if area is None:
        area = _choose_area(own, account, server_id)
    elif area == own and not is_running and not account.may("-x", own):
        area = _moved_out(own, account, server_id)
    if not account.may("-x", area):
        raise Permanent(
            f"the account {account.name} cannot access the database in {area}: a parent folder does not allow it"
        )
    make_for(account, area / "log")
    socket = own / known.socket if known.socket is not None and not is_new_home else None
    if socket is None or not is_safe(socket, account) or (_is_temporary(socket, own) and not is_running):
        socket = choose_socket_folder(area / "run", name=server_id, longest_file=SOCKET_NAME, account=account)
    has_data = (area / "data").exists()
    chosen = _Record(server_id, _written(area, own), _written(socket, own), me, has_data, copied_from)
    if chosen != known:
        write_private(record, chosen.as_text())
    return Places(own, area, socket, account, server_id, copied_from)


def remember_data(own: Path) -> None:
    """Record that the database exists, so that its absence is an error. The caller holds the home's lock."""
    _change(own, has_data=True)


def confirm_copy(own: Path) -> None:
    """Record that this copy no longer shares anything with its original. The caller holds the home's lock."""
    _change(own, copied_from=None)


def _change(own: Path, **values: Any) -> None:
    record = own / "places.json"
    known = _Record.read(record)
    if (changed := replace(known, **values)) != known:
        write_private(record, changed.as_text())


def data_area(home: Path) -> Path | None:
    """The folder of this home's database, if one has been chosen; changes nothing. Raises Permanent."""
    own = home / "postgres"
    return _known_area(own, _Record.read(own / "places.json"))


def _known_area(own: Path, known: _Record) -> Path | None:
    """Data below the home belong to it, even if a copied record says otherwise."""
    if (own / "data").exists():
        return own
    return None if known.area is None else own / known.area


def _written(path: Path, own: Path) -> str:
    return str(path.relative_to(own)) if path.is_relative_to(own) else str(path)


def _is_temporary(socket: Path, own: Path) -> bool:
    """Earlier versions could put sockets into /tmp."""
    return socket.is_relative_to("/tmp") and not own.is_relative_to("/tmp")


def _own_data(area: Path, *, home: Path, me: HomeIdentity, account: Account, adopting: bool) -> bool:
    """Make sure that the data belong to this home. Raises OwnedByAnotherHome.

    Returns whether the home is a new one: copied, restored, or moved to another file system.
    """
    data = area / "data"
    owner = ownership.owner_of(data)
    if owner is not None and owner.is_same_folder(me):
        if owner != me:
            ownership.claim(data, me, account)
        return False
    is_inside = data.resolve().is_relative_to(home)
    original = owner.find(home.parent) if owner is not None else _older_owner(area, home)
    if is_inside:
        if original is not None:
            ownership.refuse_shared_files(data, home)
            _warn_of_a_torn_copy(data, original)
    elif original is not None and not adopting:
        raise OwnedByAnotherHome(
            f"the database in {area} belongs to {original}, and {home} is another home: use MYI_HOME={original};"
            " or take its database over with `myi doctor --adopt`, after which that home has none; or give this home a"
            f" copy of its own, while MYI is stopped: cp -a {data} {home / 'postgres'}/"
        )
    elif owner is not None and original is None and not adopting and not (owner.path == me.path or owner.is_gone):
        raise OwnedByAnotherHome(
            f"the database in {area} belongs to {owner.path}, which cannot be found now: if {home} is that home,"
            " moved or restored, run `myi doctor --adopt`"
        )
    elif owner is not None and owner.path != me.path:
        log.warning("%s takes over the database in %s, which was made for %s", home, area, owner.path)
    ownership.claim(data, me, account)
    # Data without a record are usually those of this home, from an older version.
    return owner is not None


def _original_of(area: Path, *, home: Path, me: HomeIdentity) -> str | None:
    """The home that these data were copied from, if it still exists."""
    data = area / "data"
    owner = ownership.owner_of(data)
    if owner is None or owner.is_same_folder(me) or not data.resolve().is_relative_to(home):
        return None
    original = owner.find(home.parent)
    return None if original is None else str(original)


def _older_owner(area: Path, home: Path) -> Path | None:
    """The other home, if any, that uses these data of a version that did not record owners in them."""
    try:
        named = Path((area / "home.txt").read_text(encoding="utf-8").strip())
    except OSError:
        named = area.parent
    try:
        record = _Record.read(named / "postgres" / "places.json")
    except Permanent:
        return None
    is_other = named.resolve() != home and record.area is not None
    return named if is_other and (named / "postgres" / (record.area or "")).resolve() == area.resolve() else None


def _warn_of_a_torn_copy(data: Path, original: Path) -> None:
    if processes.is_served_elsewhere(data):
        log.warning(
            "this home was copied from %s while the database there was running: such a copy may be damaged; copy it"
            " again while MYI is stopped, or use pg_dump",
            original,
        )


def _refuse_missing_data(own: Path, known: _Record, area: Path | None) -> None:
    """A home whose database is missing must not silently start with an empty one."""
    if area is None or any(area.glob("data.*.part")):
        return
    is_older = known.home is None and Path(known.area or "").is_absolute() and (own / "superuser").exists()
    if known.has_data or (is_older and not area.is_relative_to(own)):
        raise Permanent(
            f"the database of {own.parent} is missing: it was in {area / 'data'}. Bring that folder back from a backup,"
            f" or from the machine that this home was copied from, as {own / 'data'}; to start with an empty database"
            f" move {own} away"
        )


def make_home(home: Path) -> None:
    """Create MYI_HOME, without access for others. Raises Permanent."""
    require_folder(home, setting="MYI_HOME")
    try:
        if not home.exists():
            home.parent.mkdir(parents=True, exist_ok=True)
            _make(home, 0o700)
    except OSError as error:
        raise Permanent(f"MYI_HOME cannot be made at {home}: {error.strerror}") from error


def make_own(home: Path) -> Path:
    """Create MYI_HOME/postgres. Raises Permanent."""
    if not _SHELL_CHARACTERS.isdisjoint(str(home)):
        raise Permanent(f'the embedded Postgres cannot start below {home}: set MYI_HOME to a path without \\ " $ or `')
    make_home(home)
    own = home / "postgres"
    try:
        _make(own, 0o700)
    except OSError as error:
        raise Permanent(f"MYI_HOME cannot be used at {home}: {error.strerror}") from error
    owner = own.stat().st_uid
    if owner != os.geteuid():
        raise Permanent(f"{own} belongs to another user (number {owner}): run MYI as that user, or set MYI_HOME")
    return own


def system_folder() -> Path:
    """Root's folder for files that the server's account must access and that therefore cannot be in MYI_HOME."""
    if not SYSTEM_FOLDER.exists():
        _make(SYSTEM_FOLDER, 0o711)
    found = SYSTEM_FOLDER.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise Permanent(f"{SYSTEM_FOLDER} must be a folder that root owns and nobody else can write")
    return SYSTEM_FOLDER


def _choose_area(own: Path, account: Account, server_id: str) -> Path:
    if account.is_me or account.may("-x", own):
        return own
    area = system_folder() / server_id
    if not area.exists():
        _make(area, 0o711)
        log.info(
            "the database is in %s, which the account %s can access; back it up together with MYI_HOME",
            area, account.name,
        )  # fmt: skip
    return area


def _moved_out(own: Path, account: Account, server_id: str) -> Path:
    """Move data out of a home of root's to a folder that the server's account can access.

    `data` exists there only once it is complete. Raises Permanent.
    """
    area = _choose_area(own, account, server_id)
    log.warning("moving the database from %s to %s, which the account %s can access", own, area, account.name)
    try:
        os.rename(own / "data", area / "data")
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        unfinished = area / f"data.{secrets.token_hex(4)}.part"
        done = subprocess.run(
            ["cp", "-a", str(own / "data"), str(unfinished)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise Permanent(f"the database could not be copied to {area}: {done.stderr.strip()[-300:]}") from None
        os.rename(unfinished, area / "data")
        shutil.rmtree(own / "data")
    return area


def _make(folder: Path, mode: int) -> None:
    """Create a folder with exactly this mode, whatever the umask; an existing one is left as it is."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    folder.chmod(mode)
