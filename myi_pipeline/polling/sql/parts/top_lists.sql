select t.taken_at, t.taken_on, t.entity_kind, t.term, t.rank, c.content_key as content, a.artist_key as artist
from raw.top_items as t
left join raw.contents as c on c.content_id = t.content_id
left join raw.artists as a on a.artist_id = t.artist_id
where t.user_id = %(user_id)s
order by t.taken_on, t.entity_kind, t.term, t.rank
