{#
  A digest of an event's raw key with all of its 64 bits, the same after every rebuild; the types of the columns are
  part of it. The time is hashed by its bytes: Postgres folds a timestamp to 32 bits when it hashes it, so that among a
  million plays, two of one song would be as likely as not to share a digest.
#}
{% macro event_id() -%}
    hash_record_extended(
        row(user_id, source_id, timestamptz_send(played_at), content_id, ms_played, occurrence), 0
    )
{%- endmacro %}
