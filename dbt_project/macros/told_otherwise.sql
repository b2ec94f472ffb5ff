{# Scrobbles whose song is not among those of `others` in the same second, numbered. #}
{% macro told_otherwise(scrobbles, others) -%}
    select
        scrobble.*,
        row_number() over (
            partition by scrobble.user_id, scrobble.archive_source_id, scrobble.played_at order by scrobble.event_id
        ) as place
    from {{ scrobbles }} as scrobble
    where not exists (
        select from {{ others }} as other
        where
            other.user_id = scrobble.user_id
            and other.archive_source_id = scrobble.archive_source_id
            and other.played_at = scrobble.played_at
            and other.song = scrobble.song
    )
{%- endmacro %}
