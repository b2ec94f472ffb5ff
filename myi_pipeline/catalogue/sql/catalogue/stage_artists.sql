-- Artists with a URI, staged under the lock so that no other process decides on the same names meanwhile.
select pg_advisory_xact_lock(hashtext('myi.intern_contents'));

create temporary table polled_artists on commit drop as
select
    p.uri,
    p.name,
    p.name_key,
    p.uri_key
from jsonb_to_recordset(%(artists)s) as p (uri text, name text, name_key uuid, uri_key uuid);
