-- How many stand before one in a top list, counted in the order of its index and no further than `most`.
select count(*)::int + 1 as rank
from (
    select 1
    from marts.agg_period_{{ entity }}s
    where
        user_id = %(user_id)s
        and period = %(period)s
        and period_start = %(period_start)s
        and counted_plays >= %(counted_plays)s
        and (
            counted_plays > %(counted_plays)s
            or ms_played > %(ms_played)s
            or (ms_played = %(ms_played)s and {{ entity }}_id < %(id)s)
        )
    limit %(most)s
) as before
