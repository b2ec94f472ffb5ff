-- Counted plays of albums of a period by the decade in which they came out; decade is null for those of which nobody has
-- said it.
select
    (album.release_year / 10 * 10)::int as decade,
    sum(heard.counted_plays)::int as counted_plays,
    count(*)::int as albums
from (
    select album_id, counted_plays
    from marts.agg_period_albums_stored
    where user_id = %(user_id)s and period_start = %(period_start)s
    offset 0
) as heard
left join marts.dim_albums as album on album.album_id = heard.album_id
group by album.release_year / 10 * 10
order by decade nulls last
