{#
  Whether a play counts: 30 s heard, or half the duration if that is less. If the time heard is unknown,
  `reports_counted` decides, which fct_plays_stored.sql computes: it is true if the source lists only plays that count
  (`reports_counted` in raw.sources) and does not say that this one was skipped, or if another event of the play is from
  such a source (`is_reported` in resolution.sql). A row of Spotify's archives alone decides nothing.

  This is the only place in the models that decides it. simulator/truth.py and tests/dbt/marts_by_hand.py repeat the
  rule on purpose: tests compare the marts with them.
#}
{% macro is_counted(ms_played, duration_ms, reports_counted) -%}
    coalesce(
        {{ ms_played }} >= least({{ var('counted_ms') }}, {{ duration_ms }} / 2.0),
        {{ reports_counted }}
    )
{%- endmacro %}
