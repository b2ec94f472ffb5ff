-- Changes that wait for a refresh; those of users who are held back wait for a time zone.
select
    (
        (
            select count(*)
            from (
                select from ops.changed_days
                where user_id not in (select user_id from ops.held_back_users)
                limit 1000000
            ) as changed
        )
        + (select count(*) from (select from ops.changed_contents limit 1000000) as changed)
        + (select count(*) from (select from ops.changed_facts limit 1000000) as changed)
        + (
            select count(*)
            from (
                select from ops.changed_users
                where user_id not in (select user_id from ops.held_back_users)
                limit 1000000
            ) as changed
        )
    ),
    coalesce(
        extract(
            epoch from now() - least(
                (
                    select min(changed_at)
                    from (
                        select changed_at from ops.changed_days
                        where user_id not in (select user_id from ops.held_back_users)
                        order by change_id
                        limit 100
                    ) as changed
                ),
                (select min(changed_at) from (select changed_at from ops.changed_contents order by change_id limit 100) as changed),
                (select min(changed_at) from (select changed_at from ops.changed_facts order by change_id limit 100) as changed),
                (
                    select min(changed_at)
                    from (
                        select changed_at from ops.changed_users
                        where user_id not in (select user_id from ops.held_back_users)
                        order by change_id
                        limit 100
                    ) as changed
                )
            )
        ),
        0
    )::float8
