-- The blocks of some tracks with all that are in them; one more than may be compared is enough to know of.
select b.block, array(select n.content_id from ops.content_blocks as n where n.block = b.block limit %(most)s + 1)
from (select distinct block from ops.content_blocks where content_id = any(%(ids)s::int[])) as b
