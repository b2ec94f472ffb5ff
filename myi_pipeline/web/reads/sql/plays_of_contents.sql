-- A page of plays of a few contents, newest first: the newest of each by its index, then the newest of those.
select
    {% include 'columns_of_a_play.sql' %}
from (
    select play.*
    from unnest(%(content_ids)s::int []) as wanted (content_id)
    cross join lateral (
        {% with content = 'wanted.content_id' %}{% include 'newest_plays.sql' %}{% endwith %}
    ) as play
    order by play.played_at desc, play.play_id desc
    limit %(limit)s
) as page
left join marts.dim_contents as content on content.content_id = page.content_id
order by page.played_at desc, page.play_id desc
