-- When the plan of a migration was ready for a decision, which may be days after it was requested, because of a
-- service's quota. NULL: not yet, or before this column existed.
alter table app.migrations add column planned_at timestamptz;
comment on column app.migrations.planned_at is 'When its plan was last ready for a decision.';
