"""One play file of an archive, row by row.

Invariant: `rows_read` equals the records plus the quarantined rows that were yielded once the iteration has
ended, well or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

from myi_pipeline.core.plays import PlayRecord, QuarantinedRow, Source
from myi_pipeline.history.account_rows import AccountRows
from myi_pipeline.history.extended_rows import ExtendedRows, KnownNames
from myi_pipeline.history.fields import ONE_DAY
from myi_pipeline.history.json_batches import JsonBatches
from myi_pipeline.history.limits import Limits
from myi_pipeline.history.members import Member
from myi_pipeline.history.tally import Tally


class FileReader:
    """Iterate it once. Raises BrokenFile when the file breaks; every row before the break has been yielded by then.

    All counters hold "so far"; `rows_read` runs ahead of the iteration by at most one buffer.
    """

    def __init__(
        self,
        member: Member,
        *,
        source: Source,
        limits: Limits,
        hash_account: Callable[[str], bytes],
        now: datetime,
        known: KnownNames,
    ) -> None:
        self.rows_read = 0
        self._tally = Tally(hash_account=hash_account, max_keys=limits.max_unknown_keys)
        is_extended = source is Source.EXTENDED_HISTORY
        self._json = JsonBatches(
            member.chunks(), place=member.name, max_row_bytes=limits.max_row_bytes, careful=not is_extended
        )
        latest, max_chars = now + ONE_DAY, limits.max_text_chars
        self._rows = (
            ExtendedRows(latest=latest, max_chars=max_chars, tally=self._tally, known=known)
            if is_extended
            else AccountRows(latest=latest, max_chars=max_chars, tally=self._tally)
        )

    @property
    def bytes_read(self) -> int:
        """Unpacked bytes taken from the file."""
        return self._json.bytes_read

    @property
    def unknown_keys(self) -> Counter[str]:
        """How many rows had each key that no known format has; bounded, see Tally."""
        return self._tally.unknown_keys

    @property
    def account_hashes(self) -> set[bytes]:
        """What `hash_account` made of the user names in the file; bounded."""
        return self._tally.account_hashes

    def __iter__(self) -> Iterator[PlayRecord | QuarantinedRow]:
        for batch in self._json:
            first = self.rows_read
            self.rows_read += len(batch.rows)
            yield from self._rows.convert(batch, first=first)
