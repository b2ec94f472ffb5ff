-- A later export of the same polling reaches further; a span that is open here is being polled here.
update raw.polled_spans as s
set polled_to = r.polled_to
from told_polling_polled_spans as t
cross join lateral jsonb_to_record(t.told) as r (polled_from timestamptz, polled_to timestamptz)
where s.user_id = %(user_id)s and s.polled_from = r.polled_from and s.polled_to < r.polled_to;

insert into raw.polled_spans (user_id, polled_from, polled_to)
select %(user_id)s, r.polled_from, coalesce(r.polled_to, r.polled_from)
from told_polling_polled_spans as t
cross join lateral jsonb_to_record(t.told) as r (polled_from timestamptz, polled_to timestamptz)
where
    not exists (
        select from raw.polled_spans as known where known.user_id = %(user_id)s and known.polled_from = r.polled_from
    )
order by t.row_no;

update raw.poll_gaps as g
set gap_end = r.gap_end
from told_polling_gaps as t
cross join lateral jsonb_to_record(t.told) as r (gap_start timestamptz, gap_end timestamptz, reason text)
where
    g.user_id = %(user_id)s and g.gap_start = r.gap_start and g.reason = r.reason and g.gap_end < r.gap_end;

insert into raw.poll_gaps (user_id, gap_start, gap_end, reason, noted_at)
select %(user_id)s, r.gap_start, coalesce(r.gap_end, r.gap_start), r.reason, r.noted_at
from told_polling_gaps as t
cross join lateral jsonb_to_record(t.told)
    as r (gap_start timestamptz, gap_end timestamptz, reason text, noted_at timestamptz)
where
    not exists (
        select from raw.poll_gaps as known
        where known.user_id = %(user_id)s and known.gap_start = r.gap_start and known.reason = r.reason
    )
order by t.row_no;

insert into raw.top_items (user_id, taken_on, entity_kind, term, rank, content_id, artist_id, taken_at)
select %(user_id)s, r.taken_on, r.entity_kind, r.term, r.rank, c.content_id, a.artist_id, r.taken_at
from told_polling_top_lists as t
cross join lateral jsonb_to_record(t.told) as r (
    taken_at timestamptz, taken_on date, entity_kind text, term text, rank smallint, content uuid, artist uuid
)
left join raw.contents as c on c.content_key = r.content
left join artist_by_key as a on a.artist = r.artist
order by t.row_no
on conflict do nothing;

insert into ops.postponed_plays (user_id, due_at, uri, poll_id, item)
select %(user_id)s, r.due_at, r.uri, coalesce(h.batch_id, %(import_id)s), r.item
from told_polling_postponed as t
cross join lateral jsonb_to_record(t.told) as r (due_at timestamptz, uri text, batch int, item jsonb)
left join batch_here as h on h.batch = r.batch
order by t.row_no
on conflict do nothing;

insert into app.polled_accounts (user_id, first_poll_id, account_key)
select %(user_id)s, h.batch_id, r.account
from told_polling_accounts as t
cross join lateral jsonb_to_record(t.told) as r (batch int, account text)
inner join batch_here as h on h.batch = r.batch
where not exists (select from app.polled_accounts as known where known.user_id = %(user_id)s)
order by t.row_no
on conflict do nothing;
