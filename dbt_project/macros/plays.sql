{#
  How fct_plays_stored stores what fct_plays shows: there are a million of these rows, and eight bytes in each are eight
  megabytes.
#}

{#
  When a play began: played_at minus the time heard, NULL if that is unknown; if the source reports the start,
  played_at.
#}
{% macro began(played_at, ms_played, tells_start) -%}
    ({{ played_at }} - case when {{ tells_start }} then 0 else {{ ms_played }} end * interval '1 millisecond')
{%- endmacro %}

{#
  The bits of `flags`: whether the play counts; for each of these, whether it is known and whether it is true; and
  whether played_at is the start.
#}
{% macro flagged() -%}
    {{ return({'shuffle': (2, 4), 'skipped': (8, 16), 'offline': (32, 64), 'incognito': (128, 256)}) }}
{%- endmacro %}

{% macro packed_flags(play, is_counted, tells_start) -%}
    (
        case when {{ is_counted }} then 1 else 0 end
        + case when {{ tells_start }} then {{ tells_start_bit() }} else 0 end
        {%- for name, bits in flagged().items() %}
        + case {{ play }}.{{ name }} when true then {{ bits[0] + bits[1] }} when false then {{ bits[0] }} else 0 end
        {%- endfor %}
    )::smallint
{%- endmacro %}

{% macro tells_start_bit() -%} 512 {%- endmacro %}

{% macro flag(play, name) -%}
    {%- set bits = flagged()[name] -%}
    case when ({{ play }}.flags & {{ bits[0] }}) <> 0 then ({{ play }}.flags & {{ bits[1] }}) <> 0 end
{%- endmacro %}

{# The name of a source by its id. raw.sources has both, but the API may not read it; a test compares the two. #}
{% macro name_of_source(source_id) -%}
    case {{ source_id }}
        when 1 then 'extended_history'
        when 2 then 'account_history'
        when 3 then 'spotify_api'
        when 4 then 'lastfm_export'
        when 5 then 'listenbrainz_export'
        when 6 then 'maloja_export'
        when 7 then 'koito_export'
        when 8 then 'scrobbler_log'
        when 9 then 'lastfm_api'
        when 10 then 'listenbrainz_api'
        when 11 then 'submitted_listens'
        when 12 then 'lastfm_export_minutes'
    end
{%- endmacro %}

{# What fct_plays and fct_hidden_plays show of fct_plays_stored, called play. #}
{% macro shown_plays() -%}
select
    play.user_id,
    play.play_id,
    play.played_at,
    {{ began('play.played_at', 'play.ms_played', '(play.flags & ' ~ tells_start_bit() ~ ') <> 0') }} as started_at,
    play.local_date,
    play.local_hour,
    case
        when play.ms_played is not null or (play.flags & {{ tells_start_bit() }}) <> 0
            then play.local_date - coalesce(play.started_days_before, 0)
    end as started_local_date,
    (play.flags & 1) <> 0 as is_counted,
    play.ms_played,
    play.content_id,
    play.artist_id,
    play.album_id,
    play.context_id,
    play.kind,
    {{ name_of_source('play.source_id') }} as source,
    play.confirmed_by,
    {{ flag('play', 'shuffle') }} as shuffle,
    {{ flag('play', 'skipped') }} as skipped,
    {{ flag('play', 'offline') }} as offline,
    {{ flag('play', 'incognito') }} as incognito,
    play.offline_at,
    coalesce(play.reported_at, play.played_at) as reported_at,
    coalesce(play.reported_content_id, play.content_id) as reported_content_id
{%- endmacro %}
