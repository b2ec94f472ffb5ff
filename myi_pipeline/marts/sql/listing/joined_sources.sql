-- Plays of one listener: all, those reported only by Last.fm, and those reported by both Last.fm and Spotify's archive.
select
    count(*) as plays,
    count(*) filter (where f.source = 'lastfm_export') as scrobbles_alone,
    count(*) filter (where f.source = 'extended_history' and f.confirmed_by like '%%lastfm_export%%') as confirmed
from marts.fct_plays as f
inner join marts.dim_users as u on u.user_id = f.user_id
where u.user_key = %(user_key)s
