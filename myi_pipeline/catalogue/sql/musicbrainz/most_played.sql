-- Tracks by their plays by all users. Run with the analyst's rights.
select
    track_id,
    sum(plays)::bigint as plays
from marts.agg_period_tracks
where period = 'all' and period_start = date '1970-01-01'
group by track_id
order by plays desc, track_id
limit %(most)s
