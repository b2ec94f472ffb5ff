-- Spotify's own list as it stood on the last day, up to the one asked for, that has one. By recording a song is listed
-- once, where the best of its tracks stands.
{%- set kind = 'artist' if entity == 'artist' else 'track' %}
{%- set song = 'coalesce(decided.recording_id, track.recording_id, listed.entity_id)' %}
select *
from (
    select {{ 'distinct on (' ~ song ~ ')' if entity == 'recording' }}
        listed.snapshot_date,
        listed.rank::int as rank,
        {{ song if entity == 'recording' else 'listed.entity_id' }} as id,
        coalesce(track.uri, artist.uri) as uri,
        coalesce(track.name, artist.name) as name,
        track.artist_name,
        coalesce(decided.recording_id, track.recording_id) as recording_id
    from marts.fct_top_ranks as listed
    left join marts.dim_tracks as track on listed.entity_kind = 'track' and track.track_id = listed.entity_id
    left join marts.bridge_user_recordings as decided
        on decided.user_id = %(user_id)s and decided.track_id = track.track_id
    left join marts.dim_artists as artist on listed.entity_kind = 'artist' and artist.artist_id = listed.entity_id
    where
        listed.user_id = %(user_id)s
        and listed.entity_kind = '{{ kind }}'
        and listed.term = %(term)s
        and listed.snapshot_date = (
            select last.snapshot_date
            from marts.fct_top_ranks as last
            where
                last.user_id = %(user_id)s
                and last.entity_kind = '{{ kind }}'
                and last.term = %(term)s
                and last.snapshot_date <= %(day)s
            order by last.snapshot_date desc
            limit 1
        )
    order by {{ song ~ ', ' if entity == 'recording' }}listed.rank
) as listed
order by rank
