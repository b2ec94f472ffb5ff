-- depends_on: {{ ref('int_plays__candidates') }}
{{ config(
    meta={'slices': 'api_users', 'slice_keys': ['user_id'], 'order_by': 'user_id, source_id, platform',
          'marks': 'days_of_changed_clocks', 'matches_again': true},
    indexes=[{'columns': ['user_id', 'source_id', 'platform'], 'unique': true}],
) }}

with votes as (
    select votes.*
    from {{ ref('int_clocks__votes') }} as votes
    {%- if is_incremental() %}
    inner join {{ api_users() }} as api_user on api_user.user_id = votes.user_id
    {%- endif %}
),

-- The user's plays on any device, for rows that do not name theirs, or name one without votes.
ballots as (
    select user_id, source_id, platform, clock, offset_s, votes from votes where platform <> ''
    union all
    select user_id, source_id, '', clock, offset_s, votes from votes
),

offsets as (
    select user_id, source_id, platform, clock, offset_s, sum(votes) as votes
    from ballots
    group by user_id, source_id, platform, clock, offset_s
),

-- Most clocks are off by seconds, and all of their votes are close together. For a clock that is off by hours, there
-- are also votes of songs that were heard twice: only votes that agree within a minute count.
agreeing as (
    select
        *,
        sum(votes) over (
            partition by user_id, source_id, platform, clock
            order by offset_s range between 60 preceding and 60 following
        ) as votes_near,
        sum(votes) over (partition by user_id, source_id, platform, clock) as clock_votes,
        sum(votes) over (partition by user_id, source_id, platform) as all_votes
    from offsets
),

peaks as (
    select *, first_value(offset_s) over (
        partition by user_id, source_id, platform, clock order by votes_near desc, abs(offset_s), offset_s
    ) as peak_s
    from agreeing
),

-- The median of those: the first offset at which half of the votes are reached.
reaching as (
    select
        *,
        sum(votes) over (partition by user_id, source_id, platform, clock order by offset_s) as reached,
        sum(votes) over (partition by user_id, source_id, platform, clock) as peak_votes
    from peaks
    where abs(offset_s - peak_s) <= 60
)

select distinct on (user_id, source_id, platform)
    user_id,
    source_id,
    platform,
    clock,
    -- An error of hours is believed if several plays agree.
    case
        when abs(offset_s) <= 60 or (peak_votes >= {{ var('votes_of_hours') }} and peak_votes * 4 >= clock_votes) then offset_s
        else 0
    end as offset_s,
    clock_votes::int as votes,
    (all_votes - clock_votes)::int as other_votes
from reaching
where reached * 2 >= peak_votes
-- 'end' before 'start' if both have equally many votes.
order by user_id, source_id, platform, clock_votes desc, clock, offset_s
