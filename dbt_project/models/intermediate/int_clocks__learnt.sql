-- depends_on: {{ ref('int_plays__candidates') }}
{{ config(
    meta={'slices': 'api_users', 'slice_keys': ['user_id'], 'order_by': 'user_id, platform',
          'marks': 'days_of_changed_clocks', 'matches_again': true},
    indexes=[{'columns': ['user_id', 'platform'], 'unique': true}],
) }}

with votes as (
    select votes.*
    from {{ ref('int_clocks__votes') }} as votes
    {%- if is_incremental() %}
    inner join {{ api_users() }} as api_user on api_user.user_id = votes.user_id
    {%- endif %}
),

-- The user's plays on whatever device, for rows that do not name theirs or one that has not voted yet.
ballots as (
    select user_id, platform, clock, offset_s, votes from votes where platform <> ''
    union all
    select user_id, '', clock, offset_s, votes from votes
),

offsets as (
    select user_id, platform, clock, offset_s, sum(votes) as votes
    from ballots
    group by user_id, platform, clock, offset_s
),

-- The median: the first offset with which half of the clock's votes are reached.
reaching as (
    select
        *,
        sum(votes) over (partition by user_id, platform, clock order by offset_s) as reached,
        sum(votes) over (partition by user_id, platform, clock) as clock_votes,
        sum(votes) over (partition by user_id, platform) as all_votes
    from offsets
)

select distinct on (user_id, platform)
    user_id,
    platform,
    clock,
    offset_s,
    clock_votes::int as votes,
    (all_votes - clock_votes)::int as other_votes
from reaching
where reached * 2 >= clock_votes
-- 'end' before 'start' where both have as many.
order by user_id, platform, clock_votes desc, clock, offset_s
