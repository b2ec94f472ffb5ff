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
