select
    (select fingerprint is distinct from %(fingerprint)s from ops.mart_state)
    or exists (select from unnest(%(relations)s::text[]) as r (name) where to_regclass(r.name) is null)
