-- A page of plays whose names hold every word, newest first, for common words: at most `most_walked` plays are looked
-- at. The last one is also returned, flagged, because the next page begins there when this one is not full.
-- The order is that of the walk, and names are looked up one by one, so that a full page ends it.
{%- import 'search_match.sql' as search %}
with page as (
    select *, row_number() over (order by played_at desc, play_id desc) as place
    from (
        {% with most = 'most_walked' %}{% include 'newest_plays.sql' %}{% endwith %}
    ) as newest
)

select
    {% include 'columns_of_a_play.sql' %},
    page.place,
    coalesce({{ search.holds('name.search_text') }}, false) as is_found
from page
left join lateral (
    select search_text
    from marts.search_names
    where kind <> 'artist' and entity_id = page.content_id
    offset 0
) as name on true
left join marts.dim_contents as content on content.content_id = page.content_id
where page.place = %(most_walked)s or {{ search.holds('name.search_text') }}
order by page.played_at desc, page.play_id desc
limit %(limit)s
