-- Whole months from their own rows, the days at both ends of a span from days.
select
    span.name,
    span.first_day,
    span.last_day,
    coalesce(heard.days, 0)::int as days,
    coalesce(heard.plays, 0)::bigint as plays,
    coalesce(heard.counted_plays, 0)::bigint as counted_plays,
    coalesce(heard.ms_played, 0)::bigint as ms_played,
    coalesce(heard.unknown_plays, 0)::bigint as unknown_plays,
    {%- for name in kinds|default(()) %}
    coalesce(heard.{{ name }}, 0)::bigint as {{ name }},
    {%- endfor %}
    heard.first_heard,
    heard.last_heard
from (
    select
        *,
        date_trunc('month', first_day + interval '1 month' - interval '1 day')::date as first_month,
        -- The first day after the whole months; without any it is what follows the span's first part.
        greatest(
            date_trunc('month', first_day + interval '1 month' - interval '1 day')::date,
            date_trunc('month', last_day + interval '1 day')::date
        ) as rest
    from unnest(
        %(names)s::text[], %(first_days)s::date[], %(last_days)s::date[]
    ) with ordinality as asked (name, first_day, last_day, place)
) as span
cross join lateral (
    select
        sum(part.days) as days,
        sum(part.plays) as plays,
        sum(part.counted_plays) as counted_plays,
        sum(part.ms_played) as ms_played,
        sum(part.unknown_plays) as unknown_plays,
        {%- for name in kinds|default(()) %}
        sum(part.{{ name }}) as {{ name }},
        {%- endfor %}
        min(part.first_heard) as first_heard,
        max(part.last_heard) as last_heard
    from (
        select
            days, plays, counted_plays, ms_played, unknown_plays, {% for name in kinds|default(()) %}{{ name }}, {% endfor %}

            first_local_date as first_heard, last_local_date as last_heard
        from marts.agg_period_user
        where
            user_id = %(user_id)s
            and period = 'month'
            and period_start >= span.first_month
            and period_start < span.rest
        union all
        select
            1, plays, counted_plays, ms_played, unknown_plays, {% for name in kinds|default(()) %}{{ name }}, {% endfor %}

            local_date, local_date
        from marts.agg_day_user
        where
            user_id = %(user_id)s
            and local_date >= span.first_day
            and local_date <= least(span.last_day, span.first_month - 1)
        union all
        select
            1, plays, counted_plays, ms_played, unknown_plays, {% for name in kinds|default(()) %}{{ name }}, {% endfor %}

            local_date, local_date
        from marts.agg_day_user
        where user_id = %(user_id)s and local_date >= span.rest and local_date <= span.last_day
    ) as part
) as heard
order by span.place
