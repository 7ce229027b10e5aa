-- Who waits longest is next.
create index cohort_dirty_by_time on cohort_dirty (site_id, marked_at)
