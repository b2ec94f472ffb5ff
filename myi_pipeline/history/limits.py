"""How much an uploaded archive may ask of the machine.

Belongs here: every bound that a person can change, with the reason for its default. Nothing reads the environment.
Invariant: whatever is uploaded, reading it costs at most these many bytes and entries, and constant memory.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A whole export is 12-13 MB a file in 8-20 files, so each default leaves room for a hundred times as much.

    `max_ratio` is unpacked over packed bytes. Real history packs 15 to 25 times, one track on repeat about 60 times;
    deflate can reach 1,030. It is not applied to the first MiB of a file.
    `max_row_bytes` is the most that one row may take, and with it what the parser ever holds in memory.
    `max_text_chars` is the longest name, URI or platform of a play; a row with a longer one is quarantined.
    """

    max_entries: int = 10_000
    max_file_bytes: int = 4 * GIB
    max_total_bytes: int = 16 * GIB
    max_ratio: int = 250
    max_row_bytes: int = MIB
    max_text_chars: int = 2_000
    max_unknown_keys: int = 100
    max_folder_depth: int = 32
