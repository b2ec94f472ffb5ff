copy {load}_events (row_id, played_at, offline_timestamp, content_no, circumstance_no, ms_played)
from stdin (format binary)
