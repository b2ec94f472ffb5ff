-- On what and where a span was heard, and how much of it was skipped and shuffled, as far as sources say. Reads the plays of
-- the span; its circumstances are looked up once each.
select
    context.platform_family as device,
    nullif(context.country, 'ZZ') as country,
    sum(heard.plays)::int as plays,
    sum(heard.ms_played)::bigint as ms_played,
    sum(heard.skips_known)::int as skips_known,
    sum(heard.skipped)::int as skipped,
    sum(heard.shuffles_known)::int as shuffles_known,
    sum(heard.shuffled)::int as shuffled
from (
    select
        context_id,
        count(*) as plays,
        coalesce(sum(ms_played), 0) as ms_played,
        count(skipped) filter (where kind = 'track') as skips_known,
        count(*) filter (where skipped and kind = 'track') as skipped,
        count(shuffle) filter (where kind = 'track') as shuffles_known,
        count(*) filter (where shuffle and kind = 'track') as shuffled
    from marts.fct_plays
    where user_id = %(user_id)s and played_at >= %(from_at)s and played_at < %(to_at)s
    group by context_id
) as heard
left join marts.dim_contexts as context on context.context_id = heard.context_id
group by context.platform_family, nullif(context.country, 'ZZ')
