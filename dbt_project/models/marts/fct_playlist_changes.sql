-- Each version compared with the one before. Moves are the fewest that explain the new order of what is on both.
{{ config(
    meta={'slices': 'run_playlist_versions', 'slice_keys': ['playlist_id', 'version_no'],
          'order_by': 'user_id, playlist_id, version_no, place'},
    indexes=[
        {'columns': ['playlist_id', 'version_no', 'place'], 'unique': true},
        {'columns': ['user_id', 'seen_at']},
        {'columns': ['content_id']},
    ],
) }}

with versions as materialized (
    select
        playlists.user_id,
        version.*,
        before.seen_at as previous_seen_at,
        before.state as old_state,
        before.name as old_name,
        before.description as old_description,
        before.owner_id as old_owner_id,
        before.is_public as old_is_public,
        before.is_collaborative as old_is_collaborative,
        before.items_key as old_items_key
    from {{ ref('stg_raw__playlist_versions') }} as version
    {%- if is_incremental() %}
    inner join {{ run_playlist_versions() }} as slice
        on slice.playlist_id = version.playlist_id and slice.version_no = version.version_no
    {%- endif %}
    inner join {{ ref('stg_raw__playlists') }} as playlists on playlists.playlist_id = version.playlist_id
    left join {{ ref('stg_raw__playlist_versions') }} as before
        on before.playlist_id = version.playlist_id and before.version_no = version.version_no - 1
),

of_lists as (
    select versions.*, change.*
    from versions
    cross join lateral (
        values
        ('created', version_no = 1, null, name),
        ('renamed', name <> old_name, old_name, name),
        ('described', description is distinct from old_description and version_no > 1, old_description, description),
        ('owner', owner_id is distinct from old_owner_id and version_no > 1, old_owner_id, owner_id),
        (
            'visibility',
            (is_public, is_collaborative) is distinct from (old_is_public, old_is_collaborative) and version_no > 1,
            old_is_public::text, is_public::text
        ),
        (state, state <> old_state, old_state, state)
    ) as change (change, holds, value_before, value_after)
    where change.holds
),

-- Numbered, because a track may be on a list several times.
sides as materialized (
    select
        versions.playlist_id,
        versions.version_no,
        side.is_new,
        item.position,
        item.kind,
        item.canonical_id,
        item.title,
        item.entry,
        row_number() over (
            partition by versions.playlist_id, versions.version_no, side.is_new, item.entry order by item.position
        ) as occurrence
    from versions
    cross join lateral (values (true, items_key), (false, old_items_key)) as side (is_new, items_key)
    inner join {{ ref('stg_raw__playlist_items') }} as item
        on item.playlist_id = versions.playlist_id and item.items_key = side.items_key
    where versions.items_key <> versions.old_items_key
),

paired as materialized (
    select
        playlist_id,
        version_no,
        max(position) filter (where not is_new) as position_before,
        max(position) filter (where is_new) as position_after,
        max(kind) as kind,
        max(canonical_id) as content_id,
        max(title) as title
    from sides
    group by playlist_id, version_no, entry, occurrence
),

standing as (
    select
        playlist_id,
        version_no,
        unnest(ops.kept_in_order(array_agg(position_after order by position_before))) as position_after
    from paired
    where position_before is not null and position_after is not null
    group by playlist_id, version_no
),

of_entries as (
    select
        paired.*,
        case
            when position_before is null then 'added'
            when position_after is null then 'removed'
            else 'moved'
        end as change
    from paired
    where
        not exists (
            select from standing
            where
                standing.playlist_id = paired.playlist_id
                and standing.version_no = paired.version_no
                and standing.position_after = paired.position_after
        )
),

every_change as (
    select
        playlist_id, version_no, change, null::text as kind, null::int as content_id, null::text as title,
        null::int as position_before, null::int as position_after, value_before, value_after
    from of_lists
    union all
    select
        playlist_id, version_no, change, kind, content_id, title, position_before, position_after, null, null
    from of_entries
)

select
    versions.user_id,
    versions.playlist_id,
    versions.version_no,
    (
        row_number() over (
            partition by versions.playlist_id, versions.version_no
            order by
                every_change.kind is not null,
                every_change.change,
                coalesce(every_change.position_after, every_change.position_before)
        )
    )::int as place,
    every_change.change,
    versions.previous_seen_at,
    versions.seen_at,
    every_change.kind,
    every_change.content_id,
    every_change.title,
    every_change.position_before,
    every_change.position_after,
    every_change.value_before,
    every_change.value_after
from versions
inner join every_change
    on every_change.playlist_id = versions.playlist_id and every_change.version_no = versions.version_no
