-- A view: a calendar grows by itself, and a table would only take up space. From the first day that a play can have to
-- the end of next year.
{{ config(materialized='view') }}

select
    day.local_date,
    extract(year from day.local_date)::smallint as year,
    extract(quarter from day.local_date)::smallint as quarter,
    extract(month from day.local_date)::smallint as month,
    to_char(day.local_date::timestamp, 'FMMonth') as month_name,
    extract(day from day.local_date)::smallint as day_of_month,
    extract(doy from day.local_date)::smallint as day_of_year,
    extract(isodow from day.local_date)::smallint as weekday,
    to_char(day.local_date::timestamp, 'FMDay') as weekday_name,
    extract(isodow from day.local_date) > 5 as is_weekend,
    extract(isoyear from day.local_date)::smallint as iso_year,
    extract(week from day.local_date)::smallint as iso_week,
    {{ week_of('day.local_date') }} as week_start,
    {{ month_of('day.local_date') }} as month_start,
    make_date(extract(year from day.local_date)::int, 3 * extract(quarter from day.local_date)::int - 2, 1)
        as quarter_start,
    {{ year_of('day.local_date') }} as year_start
from (
    select {{ first_date() }} + later.days as local_date
    from generate_series(
        0, make_date(extract(year from current_date)::int + 1, 12, 31) - {{ first_date() }}
    ) as later (days)
) as day
