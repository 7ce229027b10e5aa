-- Sums of people's sessions (bots are left out) by hour and by day, UTC, for the splits that reports ask for. A row of hours = 24 is the
-- sum of its day's hours. Columns are the catalogue's additive metrics under their keys; a test compares them.
-- rollup_dirty: hours whose sums are not up to date. Reports read those from the sessions, so figures are exact at any moment.
do $$
begin
    create table rollup_dirty (
        site_id integer not null,
        hour timestamptz not null,
        marked_at timestamptz not null default now(),
        primary key (site_id, hour)
    );

    create table rollups (
        site_id integer not null,
        -- 1 or 24
        hours smallint not null,
        -- central_api::rollup::SPLITS
        split smallint not null,
        start timestamptz not null,
        v0 text,
        v1 text,
        sessions integer not null,
        visits integer not null,
        conversions integer not null,
        revenue numeric not null,
        orders integer not null,
        leads integer not null,
        purchases integer not null,
        total_score bigint not null,
        bounces integer not null,
        page_views integer not null,
        duration numeric not null,
        registrations integer not null,
        product_views integer not null,
        add_to_cart integer not null,
        initiate_checkout integer not null,
        lead_sessions integer not null,
        purchase_sessions integer not null,
        strict_add_to_cart integer not null,
        strict_initiate_checkout integer not null,
        strict_lead_sessions integer not null,
        strict_purchase_sessions integer not null
    );
    create index rollups_by_start on rollups (site_id, hours, split, start);
end
$$
