-- One snapshot of one list, of the last day that has one.
select
    t.rank,
    t.taken_on,
    coalesce(c.title, a.name) as name,
    c.creator as artist,
    coalesce(c.uri, a.uri) as uri
from raw.top_items as t
left join raw.contents as c on c.content_id = t.content_id
left join raw.artists as a on a.artist_id = t.artist_id
where
    t.user_id = %(user_id)s
    and t.entity_kind = %(entity_kind)s
    and t.term = %(term)s
    and t.taken_on = (
        select max(last.taken_on)
        from raw.top_items as last
        where last.user_id = %(user_id)s and last.entity_kind = %(entity_kind)s and last.term = %(term)s
    )
order by t.rank
limit %(limit)s
