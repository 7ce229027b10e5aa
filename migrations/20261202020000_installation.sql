-- By what the installation's secret is known again: a keyed hash of a fixed text, cut short. With another secret contacts would be hashed
-- otherwise and workers refused, and nobody would be told.
create table installation (
    -- There is one.
    installation_id smallint primary key default 1 check (installation_id = 1),
    secret_fingerprint bytea not null
)
