-- A shop without a backend has purchases as events. A session knew that it had one, not how many, and not whether their values are in
-- event_revenue: two purchases counted as one, and one in another currency lowered the average. Each a sum over the session's events.
alter table sessions
    add column lead_events integer not null default 0,
    add column purchase_events integer not null default 0,
    -- Those of them whose value is in event_revenue.
    add column valued_purchase_events integer not null default 0
