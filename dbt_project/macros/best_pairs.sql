{#
  One round of one-to-one matching: those candidates that are the best both of their polled play and of their archive
  row, among what the rounds in `taken` have left. Repeated, it is the greedy matching: cheapest first.
#}
{% macro best_pairs(candidates, taken=[]) -%}
    select *
    from (
        select
            user_id,
            played_at,
            event_id,
            content_id,
            play_id,
            play_played_at,
            cost,
            decision,
            row_number() over (partition by user_id, event_id order by cost, play_played_at, play_id) as place_for_event,
            row_number() over (partition by user_id, play_id order by cost, played_at, event_id) as place_for_play
        from {{ candidates }} as candidate
        {%- for earlier in taken %}
        {{ 'where' if loop.first else 'and' }} not exists (
            select from {{ earlier }} as pair
            where pair.user_id = candidate.user_id and pair.event_id = candidate.event_id
        )
        and not exists (
            select from {{ earlier }} as pair
            where pair.user_id = candidate.user_id and pair.play_id = candidate.play_id
        )
        {%- endfor %}
    ) as ranked
    where place_for_event = 1 and place_for_play = 1
{%- endmacro %}
