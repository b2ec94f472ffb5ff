{#
  What a change of a learnt clock or of a match touches: relations of (user_id, utc_day), from the rows that the
  strategy `slices` is about to replace and their replacements.
#}

{# If a clock has changed, everything that a poll or a scrobbler reports. The number of votes alone changes nothing. #}
{% macro days_of_changed_clocks(target, fresh) -%}
    select distinct candidate.user_id, (candidate.played_at at time zone 'UTC')::date as utc_day
    from (
        select coalesce(old_clock.user_id, new_clock.user_id) as user_id
        from (
            select clocks.*
            from {{ target }} as clocks
            inner join {{ api_users() }} as api_user on api_user.user_id = clocks.user_id
        ) as old_clock
        full join {{ fresh }} as new_clock
            on
                new_clock.user_id = old_clock.user_id
                and new_clock.source_id = old_clock.source_id
                and new_clock.platform = old_clock.platform
        where (old_clock.clock, old_clock.offset_s) is distinct from (new_clock.clock, new_clock.offset_s)
    ) as changed
    inner join {{ ref('int_plays__candidates') }} as candidate on candidate.user_id = changed.user_id
{%- endmacro %}

{# Both sides of every match that goes, comes or is decided differently. #}
{% macro days_of_changed_pairs(target, fresh) -%}
    select distinct changed.user_id, (side.played_at at time zone 'UTC')::date as utc_day
    from (
        (
            select * from {{ rows_of_api_days(target) }} as old_pair
            except
            select * from {{ fresh }}
        )
        union all
        (
            select * from {{ fresh }}
            except
            select * from {{ rows_of_api_days(target) }} as old_pair
        )
    ) as changed
    cross join lateral (values (changed.played_at), (changed.play_played_at)) as side (played_at)
{%- endmacro %}

{#
  The same for int_plays__paired; an event that a later poll reported on the other side of midnight belongs to the same
  play.
#}
{% macro days_of_changed_matches(target, fresh) -%}
    {{ days_of_changed_pairs(target, fresh) }}
    union
    select again.user_id, (again.played_at at time zone 'UTC')::date
    from {{ api_days() }} as api_day
    inner join {{ ref('int_plays__polled_again') }} as again
        on
            again.user_id = api_day.user_id
            and (again.play_played_at at time zone 'UTC')::date = api_day.utc_day
    where (again.played_at at time zone 'UTC')::date <> api_day.utc_day
{%- endmacro %}
