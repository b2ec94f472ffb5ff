"""Reading what people upload: archive safety, kinds of files, rows. Everything is streamed, in constant memory, and
comes out as PlayRecords and QuarantinedRows, however it was handed over."""

from myi_pipeline.archives.files.archive import FileContent, HistoryArchive, HistoryFile, open_history
from myi_pipeline.archives.files.kinds import FileKind, export_numbers
from myi_pipeline.archives.files.members import Limits
from myi_pipeline.archives.files.rows import FileReader, read_rows

__all__ = [
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
