-- Landings of visitors who did not allow an id: counted, nobody remembered. No visitor, no session, no address, no user agent,
-- no click id; event_id only makes a repeated delivery count once.
create table anonymous_hits (
    site_id integer not null,
    event_id uuid not null,
    minted_at timestamptz not null,
    -- shared::event::Consent::code
    consent smallint not null,
    action smallint not null,
    bot_reason smallint,
    channel text,
    utm_source text,
    utm_medium text,
    utm_campaign text,
    device_type text,
    country text,
    primary key (site_id, event_id, minted_at)
) partition by range (minted_at)
