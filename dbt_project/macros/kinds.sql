{#
  What was heard, by kind. Plays of unknown content are of no kind: they make up the difference between the three kinds
  and the total. Wide columns come first, so that none is padded.
#}
{% macro kinds_heard() -%}
    {{ return({'music': 'track', 'podcast': 'episode', 'audiobook': 'chapter'}) }}
{%- endmacro %}

{% macro figures_by_kind() -%}
    {%- for name, kind in kinds_heard().items() %}
    coalesce(sum(ms_played) filter (where kind = '{{ kind }}'), 0)::bigint as {{ name }}_ms_played,
    {%- endfor %}
    {%- for name, kind in kinds_heard().items() %}
    (count(*) filter (where is_counted and kind = '{{ kind }}'))::int as {{ name }}_counted_plays {{- ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{% macro sums_by_kind() -%}
    {%- for name in kinds_heard() %}
    sum({{ name }}_ms_played)::bigint as {{ name }}_ms_played,
    {%- endfor %}
    {%- for name in kinds_heard() %}
    sum({{ name }}_counted_plays)::int as {{ name }}_counted_plays {{- ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# A digest of the kind and the comparable name of a show or a book; NULL for a track, and if the name is unknown. #}
{% macro show_of(contents) -%}
    case
        when {{ contents }}.kind <> 'track'
            then md5({{ contents }}.kind || ':' || nullif({{ comparable_name(contents ~ '.collection') }}, ''))::uuid
    end
{%- endmacro %}
