insert into ops.service_paces as p (service, next_at, blocks_in_a_row)
values (%(service)s, %(now)s, 1)
on conflict (service) do update set
    blocks_in_a_row = case when p.blocked_until > %(now)s then p.blocks_in_a_row else p.blocks_in_a_row + 1 end
returning case when blocked_until > %(now)s then blocked_until end, greatest(blocks_in_a_row, 1)
