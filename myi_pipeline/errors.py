"""The exceptions of MYI: one class for each kind of failure that callers treat differently.

A message never holds a secret, a token or personal data; it names the file, the place and the rule.
"""

from __future__ import annotations

from datetime import datetime


class MyiError(Exception):
    """The root: everything that MYI raises on purpose."""


class Transient(MyiError):
    """It may work later, unchanged: a network failure, a 5xx answer, a serialization failure."""


class RateLimited(Transient):
    """A quota is used up until `retry_at` (UTC)."""

    def __init__(self, message: str, *, retry_at: datetime) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class CircuitOpen(Transient):
    """So many requests for a user failed that none is made before `retry_at` (UTC)."""

    def __init__(self, message: str, *, retry_at: datetime) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class DiskFull(Transient):
    """So little disk is free that no large work starts or continues; it resumes by itself once there is more."""


class UnexpectedAnswer(Transient):
    """The other side answered, but with nothing that can be understood: a page instead of data, half a document."""


class TokenRejected(MyiError):
    """An access token was refused; a fresh one may be taken, once."""


class AuthRevoked(MyiError):
    """A credential is no longer good; only the person can mend it, by signing in again."""


class LoginDoubted(Transient):
    """The token endpoint refused a login that may still be good; it is tried again at `retry_at` (UTC)."""

    def __init__(self, message: str, *, retry_at: datetime) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class Permanent(MyiError):
    """It will not work however often it is tried."""


class Forbidden(Permanent):
    """The credential is good but may not do this: a scope, the app's list of users, a subscription."""


class Gone(Permanent):
    """What was asked for does not exist, and will not."""


class Unfit(Permanent):
    """What was asked for is there and cannot be used, and will not be: another kind of file, too large."""


class Paused(Permanent):
    """A person paused whose account this needs; it goes on once that is resumed."""


class BadInput(Permanent):
    """The input cannot be used as it is.

    `place` says where (a file, a member of an archive, a byte offset, a setting); `rule` what was expected.
    """

    def __init__(self, message: str, *, place: str = "", rule: str = "") -> None:
        super().__init__(message)
        self.place = place
        self.rule = rule


class UnknownUser(BadInput):
    """There is no user with the key that was given."""


class UnsafeArchive(BadInput):
    """An archive that could harm the machine, or of which nothing may be trusted: refused before anything is loaded."""


class WrongPackage(BadInput):
    """Readable, but not a listening history; the message says what it is and what is wanted."""


class NotConfirmed(BadInput):
    """An archive that another user has: it waits until a person confirms that it belongs here as well."""


class BrokenFile(BadInput):
    """One file broke while it was read; the rows before `offset` (bytes, of the unpacked file) are good."""

    def __init__(self, message: str, *, place: str, rule: str = "", offset: int) -> None:
        super().__init__(message, place=place, rule=rule)
        self.offset = offset


class OwnedByAnotherHome(Permanent):
    """The database that this MYI_HOME names belongs to another one; the message says how to go on."""


class SchemaMismatch(Permanent):
    """The database's schema and this program's do not fit together."""


class Fenced(Permanent):
    """A newer mart run has taken over; this one must write nothing more."""


class Busy(Transient):
    """Another process holds the lock that this work needs."""
