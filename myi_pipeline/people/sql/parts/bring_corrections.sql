-- A correction refers to a play by a digest of its event, which differs in each installation; it is left out if the
-- event no longer exists. A correction of an artist is imported even if no plays of theirs are left.
select set_config('myi.brings_back', 'yes', true);

insert into app.corrections (
    user_id, action, event_id, event_at, from_at, until_at, artist_id, source_id, kind, shift_s, to_content_id, note,
    created_at, undone_at, for_good_at
)
select
    %(user_id)s,
    r.action,
    case
        when e.user_id is not null then hash_record_extended(
            row(e.user_id, e.source_id, timestamptz_send(e.played_at), e.content_id, e.ms_played, e.occurrence), 0
        )
    end,
    e.played_at,
    r.from_at,
    r.until_at,
    a.artist_id,
    s.source_id,
    r.kind,
    r.shift_s,
    other.content_id,
    r.note,
    r.created_at,
    r.undone_at,
    r.for_good_at
from told_decisions_corrections as t
cross join lateral jsonb_to_record(t.told) as r (
    action text, event_at timestamptz, event jsonb, from_at timestamptz, until_at timestamptz, artist uuid, source text,
    kind text, shift_s int, to_content uuid, note text, created_at timestamptz, undone_at timestamptz,
    for_good_at timestamptz
)
left join lateral jsonb_to_record(r.event)
    as told (source text, played_at timestamptz, content uuid, ms_played int, occurrence smallint) on true
left join raw.sources as its on its.source = told.source
left join raw.contents as heard on heard.content_key = told.content
left join raw.listening_events as e
    on
        e.user_id = %(user_id)s
        and e.played_at = told.played_at
        and e.source_id = its.source_id
        and e.content_id is not distinct from heard.content_id
        and e.ms_played is not distinct from told.ms_played
        and e.occurrence = told.occurrence
left join artist_by_key as a on a.artist = r.artist
left join raw.sources as s on s.source = r.source
left join raw.contents as other on other.content_key = r.to_content
where
    (r.event_at is null) = (e.user_id is null)
    and (r.artist is null) = (a.artist_id is null)
    and (r.to_content is null) = (other.content_id is null)
    and not exists (
        select from app.corrections as known
        where known.user_id = %(user_id)s and known.created_at = r.created_at and known.action = r.action
    )
order by t.row_no;
