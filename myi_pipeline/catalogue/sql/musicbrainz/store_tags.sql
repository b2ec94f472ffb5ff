-- Sorted, so that two workers that store the same tags cannot deadlock.
insert into raw.musicbrainz_tags as t (tag, is_genre)
select
    v.tag,
    bool_or(v.is_genre)
from jsonb_to_recordset(%(votes)s) as v (tag text, is_genre boolean)
group by v.tag
order by v.tag
on conflict (tag) do update
    set is_genre = true
    where excluded.is_genre and not t.is_genre
