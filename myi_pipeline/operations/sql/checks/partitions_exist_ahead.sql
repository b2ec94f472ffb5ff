select count(*) filter (where to_regclass('raw.' || ops.partition_name(month::date)) is null)
from generate_series(
    date_trunc('month', now() at time zone 'UTC'),
    date_trunc('month', now() at time zone 'UTC') + make_interval(months => %(months)s),
    interval '1 month'
) as month
