{#- How names are compared with what was typed. Import with: {% import 'search_match.sql' as search %} -#}
{#- Whether the names hold every word, or one of them begins with all of it, spaces or not: "acdc". #}
{%- macro holds(names) -%}
    (
        ' ' || {{ names }} like all (%(anywhere)s::text [])
        or '/' || replace({{ names }}, ' ', '') like %(joined)s
    )
{%- endmacro %}

{#- Whether they hold one. #}
{%- macro holds_any(names) -%}
    ' ' || {{ names }} like any (%(anywhere)s::text [])
{%- endmacro %}

{#- 0 is this name and no other; 1 begins with it; in 2 each word begins one; in 3 each is somewhere; in 4 one is. #}
{%- macro match(name) -%}
    case
        when replace(case when {{ name }} like 'the %%' then substr({{ name }}, 5) else {{ name }} end, ' ', '') = %(whole)s then 0
        when {{ name }} like %(beginning)s or {{ name }} like 'the ' || %(beginning)s then 1
        when ' ' || {{ name }} like all (%(starts)s::text []) then 2
        when {{ holds(name) }} then 3
        when {{ holds_any(name) }} then 4
        else 5
    end
{%- endmacro %}

{#- Two tables for a `with`: what the catalogue has of one kind with these words, found by its index of trigrams; and of it
    what this user heard. Where more names have the words than `most`, the user's are looked at instead, the most heard
    first. #}
{%- macro heard_of(kind) -%}
found as materialized (
    select entity_id, album_id, search_text
    from marts.search_names
    where kind = '{{ kind }}' and (search_grams @> %(grams)s::text [] or search_grams @> %(joined_grams)s::text [])
    limit %(most)s + 1
),

heard as materialized (
    select found.*, sum.plays, sum.counted_plays, sum.ms_played
    from found
    cross join lateral (
        select plays, counted_plays, ms_played
        from marts.agg_period_{{ kind }}s_stored
        where user_id = %(user_id)s and {{ kind }}_id = found.entity_id and period_start = date '1970-01-01'
        offset 0
    ) as sum
    where (select count(*) from found) <= %(most)s and {{ holds('found.search_text') }}
    union all
    (
        select name.*, sum.plays, sum.counted_plays, sum.ms_played
        from (
            select {{ kind }}_id, plays, counted_plays, ms_played
            from marts.agg_period_{{ kind }}s_stored
            where user_id = %(user_id)s and period_start = date '1970-01-01'
            order by counted_plays desc, ms_played desc, {{ kind }}_id
            limit %(most_walked)s
        ) as sum
        cross join lateral (
            select entity_id, album_id, search_text
            from marts.search_names
            where kind = '{{ kind }}' and entity_id = sum.{{ kind }}_id
            offset 0
        ) as name
        where (select count(*) from found) > %(most)s and {{ holds('name.search_text') }}
        limit %(enough)s
    )
)
{%- endmacro %}
