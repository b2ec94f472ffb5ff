-- How many stand before one in a top list, counted in the order of its index and no further than `most`. One of the
-- branches runs.
select count(*)::int + 1 as rank
from (
    (
        select 1
        from marts.agg_period_tracks
        where
            %(entity)s = 'track' and user_id = %(user_id)s and period = %(period)s and period_start = %(period_start)s
            and counted_plays >= %(counted_plays)s
            and (
                counted_plays > %(counted_plays)s
                or ms_played > %(ms_played)s
                or (ms_played = %(ms_played)s and track_id < %(id)s)
            )
        limit %(most)s
    )
    union all
    (
        select 1
        from marts.agg_period_recordings
        where
            %(entity)s = 'recording' and user_id = %(user_id)s and period = %(period)s and period_start = %(period_start)s
            and counted_plays >= %(counted_plays)s
            and (
                counted_plays > %(counted_plays)s
                or ms_played > %(ms_played)s
                or (ms_played = %(ms_played)s and recording_id < %(id)s)
            )
        limit %(most)s
    )
    union all
    (
        select 1
        from marts.agg_period_artists
        where
            %(entity)s = 'artist' and user_id = %(user_id)s and period = %(period)s and period_start = %(period_start)s
            and counted_plays >= %(counted_plays)s
            and (
                counted_plays > %(counted_plays)s
                or ms_played > %(ms_played)s
                or (ms_played = %(ms_played)s and artist_id < %(id)s)
            )
        limit %(most)s
    )
    union all
    (
        select 1
        from marts.agg_period_albums
        where
            %(entity)s = 'album' and user_id = %(user_id)s and period = %(period)s and period_start = %(period_start)s
            and counted_plays >= %(counted_plays)s
            and (
                counted_plays > %(counted_plays)s
                or ms_played > %(ms_played)s
                or (ms_played = %(ms_played)s and album_id < %(id)s)
            )
        limit %(most)s
    )
) as before
