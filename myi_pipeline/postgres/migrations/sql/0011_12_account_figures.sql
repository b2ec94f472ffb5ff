create view ops.account_figures as
select
    a.provider,
    a.account_id,
    coalesce(c.state, 'closed') as state
from app.provider_accounts as a
left join ops.account_circuits as c on c.account_id = a.account_id
where a.state <> 'ended';
comment on view ops.account_figures is
'For metrics: the state of each linked account''s circuit, by service and number, without a word about whose it is.';
grant select on ops.account_figures to {monitor};
