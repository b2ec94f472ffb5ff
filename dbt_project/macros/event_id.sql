{#
  A digest of an event's raw key, of all of its 64 bits: the same after every rebuild; the types of the columns are part
  of it. The time goes in by its bytes: Postgres folds a timestamp to 32 bits when it hashes it, so among a million plays
  two of one song would have one digest as often as not.
#}
{% macro event_id() -%}
    hash_record_extended(
        row(user_id, source_id, timestamptz_send(played_at), content_id, ms_played, occurrence), 0
    )
{%- endmacro %}
