insert into raw.top_items (user_id, taken_on, entity_kind, term, rank, content_id, artist_id, taken_at)
select
    %(user_id)s,
    (%(now)s::timestamptz at time zone 'UTC')::date,
    p.entity_kind,
    p.term,
    p.rank,
    case when p.entity_kind = 'track' then p.entity_id end,
    case when p.entity_kind = 'artist' then p.entity_id end,
    %(now)s
from jsonb_to_recordset(%(items)s) as p (entity_kind text, term text, rank smallint, entity_id int)
order by p.entity_kind, p.term, p.rank
