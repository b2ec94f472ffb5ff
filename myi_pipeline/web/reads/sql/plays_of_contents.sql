-- A page of plays of a few contents, newest first: the newest of each by its index, then the newest of those.
select
    {% include 'columns_of_a_play.sql' %}
from (
    select play.*
    from unnest(%(content_ids)s::int []) as wanted (content_id)
    cross join lateral (
        select *
        from marts.fct_plays
        where
            user_id = %(user_id)s
            and content_id = wanted.content_id
            {%- for column in narrowed_by %}
            and {{ column }} = %({{ column }})s
            {%- endfor %}
            and played_at >= %(from_at)s
            and played_at < %(to_at)s
            and (played_at, play_id) < (%(after_played_at)s, %(after_play_id)s)
        order by played_at desc, play_id desc
        limit %(limit)s
    ) as play
    order by play.played_at desc, play.play_id desc
    limit %(limit)s
) as page
left join marts.dim_contents as content on content.content_id = page.content_id
order by page.played_at desc, page.play_id desc
