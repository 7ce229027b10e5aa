-- When an hour is worth recomputing: a mark moves it on while it keeps being marked, up to an hour after the first mark. Until then
-- reports read it from the sessions, as they do with every dirty hour. What waits now, and what is to be rebuilt, is due at once.
alter table rollup_dirty add column due_at timestamptz not null default '-infinity'
