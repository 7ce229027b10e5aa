-- What one touch brought: attribution, device and place from the earliest landing, sums over its events, money of its orders.
-- Kept up to date in the transaction that stores the events; every column merges by least, greatest, sum, or, or
-- "the earliest touch wins", so that order and repetition of deliveries do not matter.
do $$
begin
    create table sessions (
        site_id integer not null,
        visitor_id uuid not null,
        session_id uuid not null,
        first_seen timestamptz not null,
        last_seen timestamptz not null,
        visit_count smallint not null,
        -- Milliseconds since 1970: each event adds [t, t + 30 min), so a range is a visit and its length less 30 min the visit's duration.
        active int8multirange not null,
        event_count integer not null,
        page_views integer not null,
        points integer not null,
        -- First time of each stage of the funnel, by browser or server events.
        product_view_at timestamptz,
        add_to_cart_at timestamptz,
        checkout_at timestamptz,
        lead_at timestamptz,
        purchase_at timestamptz,
        registered_at timestamptz,
        -- Value of purchase events in the site's currency; revenue only for a site without backend.
        event_revenue numeric(18, 4) not null default 0,
        bot_reason smallint,
        human_seen boolean not null default false,
        -- shared::event::Consent::code
        consent smallint not null default 1,

        -- Money, recomputed from the session's orders whenever one of them changes.
        orders integer not null default 0,
        lead_orders integer not null default 0,
        paid_orders integer not null default 0,
        revenue numeric(18, 4) not null default 0,

        -- The event whose touch and context stand below: the earliest landing. Null until it arrives.
        touch_at timestamptz,
        touch_event uuid,
        -- Normalised; the raw value stands in raw where it differs.
        utm_source text,
        utm_medium text,
        utm_campaign text,
        utm_content text,
        utm_term text,
        utm_id text,
        utm_source_platform text,
        utm_creative_format text,
        raw jsonb,
        -- shared::channel::Channel::name
        channel text,
        -- Source and medium were inferred from a click id or referrer, not tagged.
        inferred boolean not null default false,
        -- Click ids by canonical name, and fbc, fbp, ttp.
        click_ids jsonb,
        click_platform text,
        referral text,
        referrer_host text,
        referrer_path text,
        landing_host text,
        landing_path text,
        landing_query text,

        device_type text,
        device_brand text,
        device_model text,
        os_name text,
        os_version text,
        browser_name text,
        browser_version text,
        in_app text,
        -- user_agents.ua_hash
        ua_hash bigint,
        language text,
        country text,
        region text,
        city text,
        time_zone text,
        continent text,
        asn integer,
        as_organization text,
        ip inet,
        ip_hash text,
        primary key (site_id, visitor_id, session_id)
    ) with (fillfactor = 80);

    -- An order that brings only a session id.
    create index sessions_by_id on sessions (site_id, session_id);
    -- Every report's period.
    create index sessions_by_first_seen on sessions (site_id, first_seen);

    -- Raw user agents once each, so that a session costs eight bytes; emptied as the privacy setting says.
    create table user_agents (
        ua_hash bigint primary key,
        user_agent text not null,
        first_seen timestamptz not null default now()
    );
end
$$
