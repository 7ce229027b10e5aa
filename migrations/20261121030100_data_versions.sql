-- How often what a site's figures are made from changed, by UTC day: the sum over all days up to a period's end says whether an answer about
-- that period may still be used. Counted up when sums of a day's hours are recomputed (sessions and orders of that day changed); the row of
-- 1970-01-01 counts what is of no day (ad spend, exchange rates, deletions).
create table data_versions (
    site_id integer not null,
    day date not null,
    version bigint not null default 1,
    primary key (site_id, day)
)
