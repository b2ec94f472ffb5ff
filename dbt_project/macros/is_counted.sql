{#
  Whether a play counts: 30 s heard, or half of it if that is less. Where the time heard is unknown, Spotify's list of
  recent plays and scrobblers say that it was a play, unless a player says that it was skipped; an archive row of
  Spotify's without it says nothing.

  This is the only definition that the product uses. simulator/truth.py and tests/dbt/marts_by_hand.py state the rule a
  second and a third time on purpose: tests compare the marts with them.
#}
{% macro is_counted(ms_played, duration_ms, reports_counted) -%}
    coalesce(
        {{ ms_played }} >= least({{ var('counted_ms') }}, {{ duration_ms }} / 2.0),
        {{ reports_counted }}
    )
{%- endmacro %}
