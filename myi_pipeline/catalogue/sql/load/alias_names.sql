-- For the keys in moved_match_keys, under the lock of intern_contents. A name-only content is an alias of the content
-- with a URI and the same names; if there are several, of none. URIs that are relinked to each other count as one.
create temporary table wanted_aliases on commit drop as
select
    n.content_id,
    min(coalesce(r.canonical_id, u.content_id)) as canonical_id
from moved_match_keys as m
inner join raw.contents as n on n.match_key = m.match_key and n.uri is null and n.match_title <> ''
left join raw.contents as u on u.match_key = m.match_key and u.uri is not null
left join raw.content_aliases as r on r.content_id = u.content_id and r.reason = 'relinked'
group by n.content_id
having count(distinct coalesce(r.canonical_id, u.content_id)) <= 1;

delete from raw.content_aliases as a
using moved_match_keys as m, raw.contents as n
where
    n.match_key = m.match_key
    and a.content_id = n.content_id
    and a.reason = 'only_match_by_name'
    and not exists (
        select from wanted_aliases as w where w.content_id = a.content_id and w.canonical_id = a.canonical_id
    );

insert into raw.content_aliases (content_id, canonical_id, reason)
select content_id, canonical_id, 'only_match_by_name'
from wanted_aliases
where canonical_id is not null
order by content_id
on conflict (content_id) do nothing;
