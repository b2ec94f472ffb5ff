-- For each recording, in the given order, the track by which services know it best: of those that this user has heard one
-- with an address and a code, else the one that was heard most.
{%- set number = 'asked.id' %}
select chosen.track_id, chosen.name, chosen.artist_name
from unnest(%(ids)s::int[]) with ordinality as asked (id, place)
{%- if entity == 'recording' %}
cross join lateral (
    select own.track_id, own.name, own.artist_name
    {% include 'heard_tracks.sql' %}
    order by (own.uri is not null) desc, (own.isrc is not null) desc, mine.counted_plays desc, mine.ms_played desc, own.track_id
    limit 1
) as chosen
{%- else %}
inner join marts.dim_tracks as chosen on chosen.track_id = asked.id
{%- endif %}
inner join marts.agg_period_{{ entity }}s_stored as ever
    on
        ever.user_id = %(user_id)s
        and ever.{{ entity }}_id = asked.id
        and ever.period_start = date '1970-01-01'
        and ever.first_played_at >= %(first_from)s
        and ever.last_played_at < %(last_before)s
order by asked.place
limit %(limit)s
