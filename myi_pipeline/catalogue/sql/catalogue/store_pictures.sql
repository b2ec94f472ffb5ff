-- Stores pictures of artists and albums by URI. Those from a poll are stored only for albums without any; an answer
-- about the album or artist itself replaces what is there (is_replacing).
with wanted as (
    select
        p.entity_kind,
        coalesce(a.artist_id, b.album_id) as entity_id,
        p.place,
        p.url,
        p.width,
        p.height
    from jsonb_to_recordset(%(pictures)s) as p (
        entity_kind text, uri text, place smallint, url text, width int, height int
    )
    left join raw.artists as a on p.entity_kind = 'artist' and a.uri = p.uri
    left join raw.albums as b on p.entity_kind = 'album' and b.uri = p.uri
),

gone as (
    delete from raw.pictures as i
    using (select entity_kind, entity_id, max(place) as last_place from wanted group by 1, 2) as w
    where
        %(is_replacing)s and i.entity_kind = w.entity_kind and i.entity_id = w.entity_id and i.place > w.last_place
)

insert into raw.pictures as i (entity_kind, entity_id, place, url, width, height)
select w.*
from wanted as w
where
    w.entity_id is not null
    and (
        %(is_replacing)s
        or not exists (
            select from raw.pictures as known where known.entity_kind = w.entity_kind and known.entity_id = w.entity_id
        )
    )
order by w.entity_kind, w.entity_id, w.place
on conflict (entity_kind, entity_id, place) do update
    set url = excluded.url, width = excluded.width, height = excluded.height
    where (i.url, i.width, i.height) is distinct from (excluded.url, excluded.width, excluded.height)
