-- Hours whose rollups must be recomputed. Insert only, no key, distributed with the events: marks that share the events'
-- fate cannot be lost while the events stay (marks elsewhere can).
create table rollup_marks (
    site_id integer not null,
    visitor_id uuid not null,
    hour timestamptz not null
)
