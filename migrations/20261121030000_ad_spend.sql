-- What was paid for ads, a row for a day and whatever the platform's report tells apart. Written whole by each upload of a day: the same
-- file twice changes nothing. Small beside sessions: days times ads.
create table ad_spend (
    site_id integer not null,
    -- The day as the ad account counts it; taken as the site's local day.
    day date not null,
    -- Normalised like those of sessions, so that they meet; '' where the report does not say.
    utm_source text not null default '',
    utm_medium text not null default '',
    utm_campaign text not null default '',
    utm_content text not null default '',
    -- ISO 4217. In the key: two accounts in two currencies do not overwrite each other. Converted when read, by exchange_rates.
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    -- By the rules for sessions, from the columns above.
    channel text not null,
    amount numeric(18, 4) not null check (amount >= 0),
    -- Null where the report does not say.
    clicks bigint check (clicks >= 0),
    impressions bigint check (impressions >= 0),
    updated_at timestamptz not null default now(),
    primary key (site_id, day, utm_source, utm_medium, utm_campaign, utm_content, currency)
)
