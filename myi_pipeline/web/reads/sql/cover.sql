-- The picture of an album or artist that this user has played.
{%- set kind = 'album' if entity == 'album' else 'artist' %}
select picture_sha256 as picture
from marts.dim_{{ kind }}s
where
    {{ kind }}_id = %(id)s
    and exists (
        select from marts.agg_period_{{ kind }}s_stored as heard
        where heard.user_id = %(user_id)s and heard.{{ kind }}_id = %(id)s and heard.period_start = date '1970-01-01'
    )
