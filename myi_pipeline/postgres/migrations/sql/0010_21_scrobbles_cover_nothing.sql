-- As in 0007_51_coverage.sql, but only for Spotify's archives.
create or replace function ops.cover_user(covered_user int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    -- Two imports of one user that end at once would each overlook the other.
    perform pg_advisory_xact_lock(hashtext('myi.cover_user'), covered_user);

    with latest as (
        -- The newest attempt that came to its end: one that died has changed nothing of what was reported before.
        select attempts.import_id, max(attempts.attempt) as attempt
        from (
            select files.import_id, files.attempt, bool_and(files.status <> 'running') as is_done
            from app.import_files as files
            inner join app.imports as imports on imports.import_id = files.import_id
            where imports.user_id = covered_user
            group by files.import_id, files.attempt
        ) as attempts
        where attempts.is_done
        group by attempts.import_id
    ),

    told as (
        select
            files.import_id,
            imports.created_at,
            -- JSON files that were handed in without their ZIP or folder: perhaps one by one.
            imports.archive_name ~* '(\.json| and [0-9,]+ more)$' as is_loose,
            case when files.kind like 'account%' then 2 else 1 end as source_id,
            files.kind as series,
            files.status = 'completed' as is_whole,
            named.file_number,
            files.rows_read,
            files.covered_from,
            files.covered_to,
            make_timestamptz(named.first_year, 1, 1, 0, 0, 0, 'UTC') - interval '1 day' as years_from,
            make_timestamptz(named.last_year + 1, 1, 1, 0, 0, 0, 'UTC') + interval '1 day' as years_to
        from latest
        inner join app.imports as imports on imports.import_id = latest.import_id
        inner join app.import_files as files
            on files.import_id = latest.import_id and files.attempt = latest.attempt
        cross join lateral ops.play_file_name(files.file_name, files.kind) as named
        -- Only Spotify's archives hold everything of a time. Scrobbles are what was reported to a service: what a player
        -- did not report is missing, and nothing in the file says so.
        where files.kind ~ '^(endsong|extended|account)'
    ),

    bounded as (
        -- A play outside the years in its file's name stretches nothing, nor does one from after the file was handed in.
        select
            told.*,
            case when is_named then greatest(covered_from, years_from) else covered_from end as from_at,
            least(case when is_named then least(covered_to, years_to) else covered_to end, created_at) as to_at
        from told
        cross join lateral (
            select coalesce(told.covered_from < told.years_to and told.covered_to >= told.years_from, false)
        ) as named (is_named)
    ),

    -- Loose files that were handed in within a month of each other are taken for one export.
    loose as (
        select
            import_id,
            source_id,
            min(import_id) over (partition by source_id, cluster) as package_id
        from (
            select *, count(*) filter (where opens) over (partition by source_id order by created_at, import_id) as cluster
            from (
                select
                    *,
                    created_at - lag(created_at) over (partition by source_id order by created_at, import_id)
                    > interval '30 days' as opens
                from (select distinct import_id, source_id, created_at from told where is_loose) as imports
            ) as stepped
        ) as clustered
    ),

    files as (
        select
            bounded.import_id,
            coalesce(lacking.package_id, loose.package_id, bounded.import_id) as package_id,
            bounded.source_id,
            bounded.series,
            bounded.is_whole,
            bounded.file_number,
            bounded.rows_read,
            case when bounded.from_at <= bounded.to_at then bounded.from_at end as from_at,
            case when bounded.from_at <= bounded.to_at then bounded.to_at end as to_at
        from bounded
        left join loose on loose.import_id = bounded.import_id and loose.source_id = bounded.source_id
        left join lateral (
            -- A loose file that an export lacks, by its number and its time, is of that export.
            select other.import_id as package_id
            from bounded as other
            where
                bounded.is_loose
                and bounded.source_id = 1
                and not other.is_loose
                and other.is_whole
                and other.series = bounded.series
            group by other.import_id
            having
                bool_or(other.file_number < bounded.file_number)
                and bool_or(other.file_number > bounded.file_number)
                and not bool_or(other.file_number = bounded.file_number)
                and max(other.to_at) filter (where other.file_number < bounded.file_number)
                <= bounded.from_at + interval '1 day'
                and min(other.from_at) filter (where other.file_number > bounded.file_number)
                >= bounded.to_at - interval '1 day'
            order by other.import_id desc
            limit 1
        ) as lacking on true
    ),

    -- Numbers without a break between them; a file that broke is as good as missing, an empty one is there.
    numbers as (
        select
            package_id,
            series,
            file_number,
            max(from_at) is not null as has_plays,
            file_number - row_number() over (partition by package_id, series order by file_number) as run
        from files
        where is_whole and file_number is not null
        group by package_id, series, file_number
    ),

    next_numbers as (
        select
            package_id,
            series,
            file_number,
            run,
            lead(file_number) over (partition by package_id, series, run order by file_number) as next_number
        from numbers
        where has_plays
    ),

    pieces as (
        select package_id, source_id, series, import_id, from_at, to_at
        from files
        where is_whole and from_at is not null
        union all
        -- Between a file and the one of the next number nothing was heard: series are cut at numbers of rows, in the order
        -- of time. Account data reaches over a year, so files further apart are of two exports.
        select file.package_id, file.source_id, file.series, file.import_id, file.to_at, following.from_at
        from files as file
        inner join next_numbers as place
            on
                place.package_id = file.package_id
                and place.series = file.series
                and place.file_number = file.file_number
        cross join lateral (
            select min(other.from_at) as from_at
            from files as other
            where
                other.is_whole
                and other.package_id = file.package_id
                and other.series = file.series
                and other.file_number = place.next_number
                and other.from_at > file.to_at
        ) as following
        where
            file.is_whole
            and following.from_at is not null
            and (file.source_id = 1 or following.from_at - file.from_at < interval '372 days')
        union all
        -- The series of one export end together, whichever has the last play: those of account data reach over the same
        -- twelve months, those of an extended history to the day of the export, which is taken for no more than 30 days
        -- off. Spotify begins another file of account data after 10,000 rows: a full last file may lack its successor.
        select
            series.package_id,
            series.source_id,
            series.series,
            series.import_id,
            case
                when series.source_id = 2 then package.from_at
                else greatest(package.from_at, series.from_at - interval '30 days')
            end,
            case when series.source_id = 2 then package.to_at else least(package.to_at, series.to_at + interval '30 days') end
        from (
            select package_id, source_id, min(from_at) as from_at, max(to_at) as to_at
            from files
            where is_whole
            group by package_id, source_id
        ) as package
        inner join (
            select
                files.package_id,
                files.source_id,
                files.series,
                min(files.import_id) as import_id,
                min(files.from_at) as from_at,
                max(files.to_at) as to_at
            from files
            left join numbers
                on
                    numbers.package_id = files.package_id
                    and numbers.series = files.series
                    and numbers.file_number = files.file_number
            group by files.package_id, files.source_id, files.series
            having
                bool_and(files.is_whole)
                and coalesce(min(files.file_number), 0) = 0
                and count(distinct coalesce(numbers.run, -1)) = 1
                and (
                    files.source_id = 1
                    or (array_agg(files.rows_read order by files.file_number desc nulls last))[1] < 10000
                )
        ) as series on series.package_id = package.package_id and series.source_id = package.source_id
        where
            (series.source_id = 2 and package.to_at - package.from_at < interval '372 days')
            or (series.source_id = 1 and series.from_at is not null)
    ),

    -- Where files before and after a missing one lie over each other, it may have lain there too.
    doubtful as (
        select package_id, series, range_agg(tstzrange(greatest(low, next_low), least(high, next_high), '()')) as ranges
        from (
            select
                *,
                lead(low) over ordered as next_low,
                lead(high) over ordered as next_high
            from (
                select
                    files.package_id,
                    files.series,
                    numbers.run,
                    min(files.file_number) as first_number,
                    min(files.from_at) as low,
                    max(files.to_at) as high
                from files
                inner join numbers
                    on
                        numbers.package_id = files.package_id
                        and numbers.series = files.series
                        and numbers.file_number = files.file_number
                where files.is_whole and files.from_at is not null
                group by files.package_id, files.series, numbers.run
            ) as runs
            window ordered as (partition by package_id, series order by first_number)
        ) as neighbours
        where next_low is not null and greatest(low, next_low) < least(high, next_high)
        group by package_id, series
    ),

    covered as (
        select
            pieces.package_id,
            pieces.source_id,
            pieces.series,
            range_agg(tstzrange(pieces.from_at, pieces.to_at, '[]')) - coalesce(
                (
                    select doubtful.ranges from doubtful
                    where doubtful.package_id = pieces.package_id and doubtful.series = pieces.series
                ),
                '{}'
            ) as ranges
        from pieces
        group by pieces.package_id, pieces.source_id, pieces.series
    ),

    wanted as (
        select
            covered.package_id,
            covered.source_id,
            kinds.kind,
            (
                select min(pieces.import_id) from pieces
                where
                    pieces.package_id = covered.package_id
                    and pieces.series = covered.series
                    and tstzrange(pieces.from_at, pieces.to_at, '[]') && span.range
            ) as import_id,
            lower(span.range) as covered_from,
            upper(span.range) as covered_to
        from covered
        cross join lateral unnest(covered.ranges) as span (range)
        cross join lateral unnest(
            case covered.series
                when 'extended_video' then array['video']
                when 'account_music' then array['music']
                when 'account_podcast' then array['podcasts']
                when 'account_audiobook' then array['audiobooks']
                when 'account' then array['music', 'podcasts']
                else array['music', 'podcasts', 'audiobooks']
            end
        ) as kinds (kind)
    ),

    gone as (
        delete from raw.covered_spans as spans
        where
            spans.user_id = covered_user
            and spans.import_id in (select latest.import_id from latest)
            and not exists (
                select from wanted
                where
                    (wanted.import_id, wanted.source_id, wanted.kind, wanted.covered_from, wanted.covered_to)
                    = (spans.import_id, spans.source_id, spans.kind, spans.covered_from, spans.covered_to)
                    and wanted.package_id is not distinct from spans.package_id
            )
    )

    insert into raw.covered_spans (user_id, import_id, source_id, kind, package_id, covered_from, covered_to)
    select
        covered_user,
        wanted.import_id,
        wanted.source_id,
        wanted.kind,
        wanted.package_id,
        wanted.covered_from,
        wanted.covered_to
    from wanted
    where not exists (
        select from raw.covered_spans as spans
        where
            spans.user_id = covered_user
            and spans.import_id = wanted.import_id
            and spans.source_id = wanted.source_id
            and spans.kind = wanted.kind
            and spans.package_id is not distinct from wanted.package_id
            and spans.covered_from = wanted.covered_from
            and spans.covered_to = wanted.covered_to
    )
    order by wanted.source_id, wanted.kind, wanted.covered_from;
end $$;
