-- The blocks of these tracks with their members; one more than may be compared shows that a block is too full.
select b.block, array(select n.content_id from ops.content_blocks as n where n.block = b.block limit %(most)s + 1)
from (select distinct block from ops.content_blocks where content_id = any(%(ids)s::int[])) as b
