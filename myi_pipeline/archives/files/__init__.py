"""Reading what people upload: archive safety, kinds of files, rows.

Everything is streamed, in constant memory, and comes out as PlayRecords and QuarantinedRows, however it was uploaded.
"""

from myi_pipeline.archives.files.archive import FileContent, HistoryArchive, HistoryFile, open_history
from myi_pipeline.archives.files.formats import FORMATS, FileReader, export_numbers, read_rows
from myi_pipeline.archives.files.kinds import FileKind
from myi_pipeline.archives.files.members import Limits

__all__ = [
    "FORMATS",
    "FileContent",
    "FileKind",
    "FileReader",
    "HistoryArchive",
    "HistoryFile",
    "Limits",
    "export_numbers",
    "open_history",
    "read_rows",
]
