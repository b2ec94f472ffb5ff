-- The newest plays of a span, behind a place in the list: of `content` where that is given, else of all.
select *
from marts.fct_plays
where
    user_id = %(user_id)s
    {%- if content is defined %}
    and content_id = {{ content }}
    {%- endif %}
    {%- for column in narrowed_by %}
    and {{ column }} = %({{ column }})s
    {%- endfor %}
    and played_at >= %(from_at)s
    and played_at < %(to_at)s
    and (played_at, play_id) < (%(after_played_at)s, %(after_play_id)s)
order by played_at desc, play_id desc
limit %({{ most|default('limit') }})s
