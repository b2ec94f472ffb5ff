insert into app.onward_plays (
    user_id, service, account, play_id, listened_at, title, artist, album, duration_ms, recording_uri, isrc, is_past
)
select
    %(user_id)s,
    %(service)s,
    %(account)s,
    p.play_id,
    p.listened_at,
    p.title,
    p.artist,
    p.album,
    p.duration_ms,
    p.recording_uri,
    p.isrc,
    p.is_past
from jsonb_to_recordset(%(plays)s) as p (
    play_id bigint, listened_at timestamptz, title text, artist text, album text, duration_ms int, recording_uri text,
    isrc text, is_past boolean
)
order by p.listened_at, p.play_id
on conflict (user_id, service, account, play_id) do nothing
