-- How often each song, or track, counted among the rows of `plays`; a song as that of its tracks which it was heard as most.
    select
        (array_agg(heard.track_id order by heard.times desc, heard.ms_played desc nulls last, heard.track_id))[1] as track_id,
        sum(heard.times)::int as times,
        (
            row_number() over (
                order by sum(heard.times) desc, sum(heard.ms_played) desc nulls last, min(heard.track_id)
            )
        )::int as place
    from (
        select content_id as track_id, count(*) as times, sum(ms_played) as ms_played
        from ({{ plays }}) as play
        group by content_id
    ) as heard
    group by {% if entity == 'track' %}heard.track_id{% else %}{% include 'recording_of_track.sql' %}{% endif %}

    order by place
