-- A page of the plays that their listener hid, newest first.
select
    {% include 'columns_of_a_play.sql' %}
from (
    select *
    from marts.fct_hidden_plays
    where user_id = %(user_id)s and (played_at, play_id) < (%(after_played_at)s, %(after_play_id)s)
    order by played_at desc, play_id desc
    limit %(limit)s
) as page
left join marts.dim_contents as content on content.content_id = page.content_id
order by page.played_at desc, page.play_id desc
