-- The plays that a correction would reach, in figures: what int_plays__corrected would find of those that are shown now. It
-- asks for what the sources report, wherever another correction has put the play.
select
    count(*)::int as plays,
    (count(*) filter (where play.is_counted))::int as counted_plays,
    coalesce(sum(play.ms_played), 0)::bigint as ms_played,
    count(distinct play.local_date)::int as days,
    min(play.local_date) as first_day,
    max(play.local_date) as last_day
from marts.fct_plays as play
{%- if is_by_content %}
left join marts.dim_contents as reported on reported.content_id = play.reported_content_id
left join marts.dim_tracks as track on track.track_id = play.reported_content_id
{%- endif %}
where
    play.user_id = %(user_id)s
    {%- if 'event_id' in given %}
    and play.play_id = %(event_id)s
    and play.reported_at = %(event_at)s
    {%- endif %}
    {%- if 'from_at' in given %}
    and play.reported_at >= %(from_at)s
    {%- endif %}
    {%- if 'until_at' in given %}
    and play.reported_at < %(until_at)s
    {%- endif %}
    {%- if 'source' in given %}
    and play.source = %(source)s
    {%- endif %}
    {%- if 'artist_id' in given %}
    and case when play.reported_content_id = play.content_id then play.artist_id else track.artist_id end = %(artist_id)s
    {%- endif %}
    {%- if 'kind' in given %}
    and coalesce(reported.kind, 'unknown') = %(kind)s
    {%- endif %}
