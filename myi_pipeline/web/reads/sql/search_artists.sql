-- Artists whom this user heard and whose name holds every word, the best match first.
{%- import 'search_match.sql' as search %}
with {{ search.heard_of('artist') }}

select
    'artist' as kind,
    entity_id as id,
    {{ search.match('search_text') }} as match,
    plays,
    counted_plays,
    ms_played
from heard
order by match, counted_plays desc, ms_played desc, id
limit %(limit)s
