-- The podcasts or the audiobooks of any days. No mart adds up shows by day: their plays are few, and an index holds them.
{%- set figures = ('ms_played', 'counted_plays') if by == 'time' else ('counted_plays', 'ms_played') %}
{%- set order = figures[0] ~ ' desc, ' ~ figures[1] ~ ' desc, show_id' %}
-- By episode first: a few hundred are looked up, and not every play.
with parts as materialized (
    select
        content_id,
        count(*)::int as plays,
        (count(*) filter (where is_counted))::int as counted_plays,
        coalesce(sum(ms_played), 0) as ms_played,
        min(played_at) as first_played_at,
        max(played_at) as last_played_at
    from marts.fct_plays
    where
        user_id = %(user_id)s
        -- No zone is further from UTC than these.
        and played_at >= %(first_day)s::timestamp at time zone 'UTC' - interval '15 hours'
        and played_at < (%(last_day)s::date + 1)::timestamp at time zone 'UTC' + interval '15 hours'
        and local_date between %(first_day)s and %(last_day)s
        -- The index of plays of shows says the same; a parameter alone does not lead to it.
        and kind in ('episode', 'chapter')
        and kind = %(kind)s
    group by content_id
),

heard as (
    select
        -- Shows go by one of their episodes.
        min(part.content_id) as show_id,
        min(content.collection collate "C") as name,
        min(content.creator collate "C") as artist_name,
        sum(part.plays)::int as plays,
        sum(part.counted_plays)::int as counted_plays,
        sum(part.ms_played)::bigint as ms_played,
        min(part.first_played_at) as first_played_at,
        max(part.last_played_at) as last_played_at
    from parts as part
    inner join marts.dim_contents as content on content.content_id = part.content_id
    where content.show_id is not null
    group by content.show_id
)

select
    (%(seen)s + row_number() over (order by {{ order }}))::int as rank,
    case %(kind)s when 'episode' then 'podcast' else 'audiobook' end as kind,
    null::text as uri,
    null::text as picture,
    heard.*
from heard
where
    {{ figures[0] }} < %(after_{{ figures[0] }})s
    or (
        {{ figures[0] }} = %(after_{{ figures[0] }})s
        and (
            {{ figures[1] }} < %(after_{{ figures[1] }})s
            or ({{ figures[1] }} = %(after_{{ figures[1] }})s and show_id > %(after_show_id)s)
        )
    )
order by {{ order }}
limit %(limit)s
