-- Both sides of every polled play or scrobble that another source also knows are one play in the resolution,
-- represented by the row of the most reliable source. For the listeners of the last mart run, excluding listeners with
-- newer data.
select
    pair.user_id,
    pair.played_at,
    pair.event_id
from {{ last_touched_rows(ref('int_plays__paired')) }} as pair
inner join {{ ref('stg_raw__sources') }} as sources on sources.source_id = pair.source_id
left join {{ last_touched_rows(ref('int_plays__resolved')) }} as polled
    on polled.user_id = pair.user_id and polled.played_at = pair.played_at and polled.event_id = pair.event_id
left join {{ last_touched_rows(ref('int_plays__resolved')) }} as archived
    on
        archived.user_id = pair.user_id
        and archived.played_at = pair.play_played_at
        and archived.event_id = pair.play_id
where
    (
        (polled.play_id, polled.is_canonical, polled.decision) is distinct from (pair.play_id, false, pair.decision)
        or (archived.play_id, archived.is_canonical) is distinct from (pair.play_id, true)
        or archived.confirmed_by is null
        or not sources.source = any(string_to_array(archived.confirmed_by, ', '))
    )
    and pair.user_id not in (select user_id from {{ source('ops', 'changed_days') }})
    and pair.user_id not in (select user_id from {{ source('ops', 'changed_users') }})
