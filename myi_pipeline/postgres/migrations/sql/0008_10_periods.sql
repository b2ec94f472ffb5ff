-- Which years of which tracks, artists and albums a run recomputes: weeks and months are read from plays. Keys of a run
-- that did not close are lost to nobody, since the new code rebuilds everything.
drop table ops.touched_entities;

create table ops.touched_entities (
    user_id int not null,
    entity_kind smallint not null,
    entity_id int not null,
    year_start date not null,
    primary key (user_id, entity_kind, entity_id, year_start)
);
comment on table ops.touched_entities is 'entity_kind: 1 track, 2 artist, 3 album. year_start: the first day of a local year.';
grant select, insert, update, delete on ops.touched_entities to {dbt};
