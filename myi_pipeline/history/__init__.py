"""Reading what people upload: archive safety, file kinds, record parsing. Streams, in constant memory.

Imports core only. Every way of handing over a listening history ends as an iterable of PlayRecord and QuarantinedRow.
"""

from myi_pipeline.history.archive import HistoryArchive, HistoryFile, open_history
from myi_pipeline.history.kinds import FileKind
from myi_pipeline.history.limits import Limits
from myi_pipeline.history.reader import FileReader

__all__ = ["FileKind", "FileReader", "HistoryArchive", "HistoryFile", "Limits", "open_history"]
