-- Work that is due now and then. A job's time is cut into slots of its period; done_slot is the latest that was done, so that a slot is
-- done once however often and by however many processes it is asked for. Small and local.
create table jobs (
    job_name text primary key,
    ran_at timestamptz not null,
    done_slot bigint,
    ok boolean not null,
    outcome text not null
)
