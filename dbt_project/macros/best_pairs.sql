{#
  One-to-one matching in rounds: of the candidates that are still open, each round takes those that are the best both
  for their event and for their play, among all that the event's source reports. Repeated, this is greedy matching,
  cheapest first.

  A scrobble may be a play that others confirm, or may itself confirm a play of a more reliable source: others can
  confirm it once it has no better candidate left. `open` names what the earlier rounds have left.
#}
{% macro best_pairs(open) -%}
    select ranked.*
    from (
        select
            *,
            row_number() over (
                partition by user_id, event_id order by doubt, play_rank, cost, play_played_at, play_id
            ) as place_for_event,
            row_number() over (
                partition by user_id, play_id, source_id, origin order by cost, played_at, event_id
            ) as place_for_play
        from {{ open }} as candidate
    ) as ranked
    where
        ranked.place_for_event = 1
        and ranked.place_for_play = 1
        and not exists (
            select from {{ open }} as own
            where own.user_id = ranked.user_id and own.event_id = ranked.play_id
        )
{%- endmacro %}

{#
  What a round leaves: an event confirms one play, a play takes one event of each source, and an event that confirms
  takes none.
#}
{% macro still_open(open, pairs) -%}
    select candidate.*
    from {{ open }} as candidate
    where
        not exists (
            select from {{ pairs }} as pair
            where pair.user_id = candidate.user_id and pair.event_id = candidate.event_id
        )
        and not exists (
            select from {{ pairs }} as pair
            where pair.user_id = candidate.user_id and pair.event_id = candidate.play_id
        )
        and not exists (
            select from {{ pairs }} as pair
            where
                pair.user_id = candidate.user_id
                and pair.play_id = candidate.play_id
                and pair.source_id = candidate.source_id
                and pair.origin = candidate.origin
        )
{%- endmacro %}
