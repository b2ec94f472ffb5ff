select pg_advisory_xact_lock(hashtext('myi.intern_contents'));

-- The end of the chain of aliases; the content itself if the chain is a ring, in which case there is nothing to record.
create temporary table relinked on commit drop as
select
    %(content_id)s::int as content_id,
    coalesce(
        (select a.canonical_id from raw.content_aliases as a where a.content_id = %(answering_id)s and a.reason = 'relinked'),
        %(answering_id)s::int
    ) as canonical_id;

update raw.content_aliases as a
set canonical_id = r.canonical_id
from relinked as r
where a.canonical_id = r.content_id and a.reason = 'relinked' and r.canonical_id <> r.content_id;

insert into raw.content_aliases as a (content_id, canonical_id, reason)
select content_id, canonical_id, 'relinked'
from relinked
where content_id <> canonical_id
on conflict (content_id) do update
    set canonical_id = excluded.canonical_id, reason = excluded.reason
    where (a.canonical_id, a.reason) is distinct from (excluded.canonical_id, excluded.reason);

-- Match keys of all contents involved: name-only contents with these keys may get another alias.
create temporary table moved_match_keys on commit drop as
select distinct c.match_key
from relinked as r
inner join raw.contents as c on
    c.content_id in (r.content_id, r.canonical_id)
    or c.content_id in (select a.content_id from raw.content_aliases as a where a.canonical_id = r.canonical_id);
