{#
  Pairs account rows with extended rows of the same minute and duration, one to one, among those that agree in `keys`:
  both sides are numbered in a fixed order, and equal numbers are paired. `taken` names earlier pairings, whose events
  are excluded. Without `same_length`, durations need not agree: one of the two is unknown.
#}
{% macro pair_by_minute(account, extended, keys, condition, decision, taken=[], extended_condition='true', account_condition='true', same_length=true) -%}
    {%- set grouping = ['user_id', 'minute'] + (['ms_played'] if same_length else []) + keys -%}
    select
        account.user_id,
        account.played_at,
        account.event_id,
        account.content_id,
        extended.event_id as play_id,
        extended.played_at as play_played_at,
        account.source_id,
        extended.source_id as play_source_id,
        '{{ decision }}' as decision
    from (
        select *, row_number() over (
            partition by {{ grouping | join(', ') }} order by content_id, occurrence
        ) as pair_no
        from (select *, played_at as minute from {{ account }}) as every_account
        where {{ condition }} and {{ account_condition }}
        {%- for pairing in taken %}
            and not exists (
                select from {{ pairing }} as paired
                where paired.user_id = every_account.user_id and paired.event_id = every_account.event_id
            )
        {%- endfor %}
    ) as account
    inner join (
        select *, row_number() over (
            partition by {{ grouping | join(', ') }} order by played_at, uri collate "C", content_id, occurrence
        ) as pair_no
        from {{ extended }} as every_extended
        where {{ condition }} and {{ extended_condition }}
        {%- for pairing in taken %}
            and not exists (
                select from {{ pairing }} as paired
                where paired.user_id = every_extended.user_id and paired.play_id = every_extended.event_id
            )
        {%- endfor %}
    ) as extended
        on
            extended.pair_no = account.pair_no
            {%- for key in grouping %}
            and extended.{{ key }} = account.{{ key }}
            {%- endfor %}
{%- endmacro %}

{# Almost as catalogue/plays.normalise_name: a creator's or collection's name, which raw keeps only as it was spelt. #}
{% macro comparable_name(name) -%}
    lower(btrim(regexp_replace(normalize({{ name }}, nfkc), '\s+', ' ', 'g')))
{%- endmacro %}
