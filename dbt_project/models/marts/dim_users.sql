{{ config(
    meta={'slices': 'run_users', 'slice_keys': ['user_id']},
    indexes=[{'columns': ['user_id'], 'unique': true}],
) }}

with users as (
    select * from {{ ref('stg_app__users') }}
)

select
    users.user_id,
    users.user_key,
    users.display_name,
    users.time_zone,
    users.created_at
from users
{% if is_incremental() %}
inner join {{ run_users() }} as run_user on run_user.user_id = users.user_id
{% endif %}
