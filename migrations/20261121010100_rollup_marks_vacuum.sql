-- Marks live for seconds: insert, delete, again. Emptied pages must come back long before a fifth of the table is dead, and cutting
-- the table's end off would lock out those who write to it.
alter table rollup_marks set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 200000, vacuum_truncate = off)
