insert into app.match_decisions (user_id, provider, content_id, kind, uri, decided_at, undone_at)
select %(user_id)s, r.provider, c.content_id, r.kind, r.uri, r.decided_at, r.undone_at
from told_decisions_matches as t
cross join lateral jsonb_to_record(t.told)
    as r (provider text, content uuid, kind text, uri text, decided_at timestamptz, undone_at timestamptz)
inner join raw.contents as c on c.content_key = r.content
where
    not exists (
        select from app.match_decisions as known
        where
            known.user_id = %(user_id)s
            and known.provider = r.provider
            and known.content_id = c.content_id
            and known.kind = r.kind
            and known.decided_at = r.decided_at
    )
order by t.row_no;
