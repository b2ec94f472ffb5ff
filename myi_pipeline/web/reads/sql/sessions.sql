-- Qualified, because an unqualified session_id in the order would be the text.
select
    heard.session_id::text as session_id,
    heard.started_at,
    heard.ended_at,
    heard.local_date,
    heard.plays,
    heard.counted_plays,
    heard.ms_played
from marts.fct_sessions as heard
where
    heard.user_id = %(user_id)s
    and heard.ended_at >= %(from_at)s
    and heard.ended_at < %(to_at)s
    and (heard.ended_at, heard.session_id) < (%(after_ended_at)s, %(after_session_id)s)
order by heard.ended_at desc, heard.session_id desc
limit %(limit)s
