-- The artists first heard in a span.
select entity_id, first_played_at, first_local_date
from marts.fct_first_plays
where
    user_id = %(user_id)s
    and entity_kind = 'artist'
    and first_played_at >= %(from_at)s
    and first_played_at < %(to_at)s
offset 0
