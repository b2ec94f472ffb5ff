-- The same names from a later play: only their date changes. Rows are locked in the order that all processes use.
with later as (
    select
        c.content_id,
        p.played_at
    from raw.contents as c
    inner join jsonb_to_recordset(%(tracks)s) as p (
        content_key uuid, title text, creator text, collection text, played_at timestamptz
    ) on p.content_key = c.content_key
    where
        (c.title, c.creator, c.collection) is not distinct from (p.title, p.creator, p.collection)
        and p.played_at > c.names_played_at
    order by c.content_key
    for no key update of c
)

update raw.contents as c
set names_played_at = later.played_at, names_batch_id = %(batch_id)s
from later
where c.content_id = later.content_id and later.played_at > c.names_played_at
