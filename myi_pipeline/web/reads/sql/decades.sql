-- Counted plays of tracks of a year, or of all, by the decade in which they first came out; decade is null for those of which
-- nobody has said it.
select
    (track.release_year / 10 * 10)::int as decade,
    sum(heard.counted_plays)::int as counted_plays,
    sum(heard.ms_played)::bigint as ms_played,
    count(*)::int as tracks
from (
    select track_id, counted_plays, ms_played
    from marts.agg_period_tracks_stored
    where user_id = %(user_id)s and period_start = %(period_start)s
    offset 0
) as heard
inner join marts.dim_tracks as track on track.track_id = heard.track_id
group by track.release_year / 10 * 10
order by decade nulls last
