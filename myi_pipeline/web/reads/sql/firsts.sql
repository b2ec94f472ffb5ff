{#- A recording is listed as that of its tracks which was heard first: of those at one instant that of the first play. #}
select
    '{{ 'track' if kind == 'recording' else kind }}' as kind,
    page.entity_id as id,
    coalesce(track.uri, artist.uri, album.uri) as uri,
    coalesce(track.name, artist.name, album.name) as name,
    coalesce(track.artist_name, maker.name) as artist_name,
    page.first_played_at,
    page.first_local_date,
    page.play_id::text as play_id
from (
    {%- if kind == 'recording' %}
    -- Not from fct_first_plays, which would look up every track before it sorts.
    select
        first.entity_id,
        first.first_played_at,
        play.play_id,
        play.local_date as first_local_date,
        play.track_id
    from (
        -- The rows of tracks stand in the order of an index; those of several tracks are few.
        (
            select heard.entity_id, heard.first_played_at
            from marts.fct_first_plays_stored as heard
            inner join marts.agg_period_tracks_stored as whole
                on whole.user_id = heard.user_id and whole.track_id = heard.entity_id
            where
                heard.user_id = %(user_id)s
                and heard.entity_kind = 'track'
                and heard.first_played_at >= %(from_at)s
                and heard.first_played_at < %(to_at)s
                and (heard.first_played_at, heard.entity_id) < (%(after_first_played_at)s, %(after_id)s)
                and whole.period_start = date '1970-01-01'
                and whole.part_of_recording = 0
            order by heard.first_played_at desc, heard.entity_id desc
            limit %(limit)s
        )
        union all
        (
            select recording_id, first_played_at
            from marts.agg_period_recordings_merged
            where
                user_id = %(user_id)s
                and period_start = date '1970-01-01'
                and first_played_at >= %(from_at)s
                and first_played_at < %(to_at)s
                and (first_played_at, recording_id) < (%(after_first_played_at)s, %(after_id)s)
            order by first_played_at desc, recording_id desc
            limit %(limit)s
        )
        order by first_played_at desc, entity_id desc
        limit %(limit)s
    ) as first
    cross join lateral (
        select heard.play_id, heard.local_date, heard.track_id
        from (
            select play_id, local_date, content_id as track_id
            from marts.fct_plays
            where user_id = %(user_id)s and played_at = first.first_played_at and kind = 'track'
            offset 0
        ) as heard
        where first.entity_id = {% include 'recording_of_track.sql' %}

        order by heard.play_id
        limit 1
    ) as play
    {%- else %}
    select entity_id, first_played_at, play_id, first_local_date, entity_id as track_id
    from marts.fct_first_plays
    where
        user_id = %(user_id)s
        and entity_kind = '{{ kind }}'
        and first_played_at >= %(from_at)s
        and first_played_at < %(to_at)s
        and (first_played_at, entity_id) < (%(after_first_played_at)s, %(after_id)s)
    order by first_played_at desc, entity_id desc
    limit %(limit)s
    {%- endif %}
) as page
left join marts.dim_tracks as track on '{{ kind }}' in ('track', 'recording') and track.track_id = page.track_id
left join marts.dim_artists as artist on '{{ kind }}' = 'artist' and artist.artist_id = page.entity_id
left join marts.dim_albums as album on '{{ kind }}' = 'album' and album.album_id = page.entity_id
left join marts.dim_artists as maker on maker.artist_id = album.artist_id
order by page.first_played_at desc, page.entity_id desc
