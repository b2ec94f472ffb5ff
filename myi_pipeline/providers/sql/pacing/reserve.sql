-- One statement, so that the row's lock forms the queue. As long as the service has asked to wait, nothing is taken; a
-- moment too far ahead is left to others, unless a clock was set back.
insert into ops.service_paces as p (service, next_at)
values (%(service)s, %(now)s::timestamptz + %(interval)s::interval)
on conflict (service) do update
    set
        next_at = case
            when p.blocked_until > %(now)s and p.blocked_until <= %(now)s::timestamptz + interval '2 hours' then p.next_at
            when p.next_at > %(tolerated)s then %(now)s::timestamptz + %(interval)s
            else greatest(p.next_at, %(now)s) + %(interval)s
        end
    where
        p.next_at <= %(latest)s
        or p.next_at > %(tolerated)s
        or (p.blocked_until > %(now)s and p.blocked_until <= %(now)s::timestamptz + interval '2 hours')
returning
    p.next_at - %(interval)s as begins_at,
    case
        when p.blocked_until > %(now)s and p.blocked_until <= %(now)s::timestamptz + interval '2 hours' then p.blocked_until
    end as blocked_until
