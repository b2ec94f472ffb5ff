-- Where one track, recording or artist stood, newest day first. A recording stands where the best of its tracks does.
select
    listed.snapshot_date,
    listed.rank::int as rank,
    {{ '%(id)s::int' if entity == 'recording' else 'listed.entity_id' }} as id,
    coalesce(track.uri, artist.uri) as uri,
    coalesce(track.name, artist.name) as name,
    track.artist_name,
    coalesce(decided.recording_id, track.recording_id) as recording_id
from (
    {%- if entity == 'recording' %}
    select distinct on (ranked.snapshot_date) ranked.*
    from (
            {% include 'tracks_of_recording.sql' %}
    ) as member
    inner join marts.fct_top_ranks as ranked
        on ranked.user_id = %(user_id)s and ranked.entity_kind = 'track' and ranked.entity_id = member.track_id
    where ranked.term = %(term)s and ranked.snapshot_date <= %(day)s
    order by ranked.snapshot_date desc, ranked.rank
    {%- else %}
    select *
    from marts.fct_top_ranks
    where
        user_id = %(user_id)s
        and entity_kind = '{{ entity }}'
        and entity_id = %(id)s
        and term = %(term)s
        and snapshot_date <= %(day)s
    order by snapshot_date desc
    {%- endif %}
    limit 400
) as listed
left join marts.dim_tracks as track on listed.entity_kind = 'track' and track.track_id = listed.entity_id
left join marts.bridge_user_recordings as decided
    on decided.user_id = %(user_id)s and decided.track_id = track.track_id
left join marts.dim_artists as artist on listed.entity_kind = 'artist' and artist.artist_id = listed.entity_id
order by listed.snapshot_date desc
