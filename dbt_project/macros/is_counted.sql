{#
  Whether a play counts: 30 s heard, or half of it if that is less. Where the time heard is unknown, Spotify's list of
  recent plays says that it was a play; an archive row without it says nothing.
#}
{% macro is_counted(ms_played, duration_ms, source) -%}
    coalesce(
        {{ ms_played }} >= least({{ var('counted_ms') }}, {{ duration_ms }} / 2.0),
        {{ source }} = 'spotify_api'
    )
{%- endmacro %}
