-- Counted plays of songs of a year, or of all, by the decade in which they first came out; decade is null for those of which
-- nobody has said it. A song is as old as the oldest of its tracks that this user has heard, in any year.
select
    (song.release_year / 10 * 10)::int as decade,
    sum(song.counted_plays)::int as counted_plays,
    sum(song.ms_played)::bigint as ms_played,
    count(*)::int as tracks
from (
    select
        sum(case when heard.period_start = %(period_start)s then heard.counted_plays end) as counted_plays,
        sum(case when heard.period_start = %(period_start)s then heard.ms_played end) as ms_played,
        min(track.release_year) as release_year
    from (
        select track_id, period_start, counted_plays, ms_played
        from marts.agg_period_tracks_stored
        where user_id = %(user_id)s and period_start in (%(period_start)s, date '1970-01-01')
        offset 0
    ) as heard
    inner join marts.dim_tracks as track on track.track_id = heard.track_id
    left join marts.bridge_user_recordings as decided
        on decided.user_id = %(user_id)s and decided.track_id = heard.track_id
    group by coalesce(decided.recording_id, track.recording_id)
    having bool_or(heard.period_start = %(period_start)s)
) as song
group by song.release_year / 10 * 10
order by decade nulls last
