-- The rows of a site that is begun anew are made in many transactions, in the order of visitors: where the next one goes on. Null: all are there.
-- Until then nothing of the site's is used.
alter table cohort_sites add column next_visitor uuid
