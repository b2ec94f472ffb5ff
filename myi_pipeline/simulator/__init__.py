"""Made-up listeners, the archives that Spotify would send them, and what the marts must contain after importing them.

Used by the demo and the tests only. The same seed always gives the same bytes.
"""

from myi_pipeline.simulator.account import write_account_archive
from myi_pipeline.simulator.archive_truth import ArchiveTruth, FileTruth
from myi_pipeline.simulator.extended import write_extended_archive
from myi_pipeline.simulator.listener import Listener, build_listener
from myi_pipeline.simulator.plays import TruePlay
from myi_pipeline.simulator.spec import ArchiveSpec
from myi_pipeline.simulator.truth import MartTruth, expected_marts

__all__ = [
    "ArchiveSpec",
    "ArchiveTruth",
    "FileTruth",
    "Listener",
    "MartTruth",
    "TruePlay",
    "build_listener",
    "expected_marts",
    "write_account_archive",
    "write_extended_archive",
]
