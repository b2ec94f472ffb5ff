-- Each former time zone of the user `found` with the moment at which it ended, in seconds since 1970.
    select
        coalesce(
            jsonb_agg(jsonb_build_array(turn.time_zone, date_part('epoch', turn.valid_until)) order by turn.valid_until), '[]'
        ) as earlier_zones
    from (
        select time_zone, lead(valid_from) over (order by valid_from) as valid_until
        from app.user_time_zones
        where user_id = found.user_id
    ) as turn
    where turn.valid_until is not null
