-- What cohorts need to know of each visitor, and its sums, so that a cohort matrix reads neither sessions nor orders one by one.
-- Both are made of sessions and orders alone, without bots, and can be made anew at any time.
do $$
begin
    create table cohort_visitors (
        site_id integer not null,
        visitor_id uuid not null,
        -- Local day of the first session ever; what stands at the end is that session's.
        first_day date not null,
        -- A lead or purchase in any session.
        converted boolean not null,
        -- Local days after the first on which the visitor was active, ascending; null: none.
        active_days date[],
        -- Local days with orders, ascending, and how many and how much each; null: none.
        order_days date[],
        order_counts integer[],
        order_revenue numeric[],
        human_seen boolean not null,
        -- The dimensions that orders carry too, under their keys.
        utm_source text,
        utm_medium text,
        utm_campaign text,
        utm_content text,
        utm_term text,
        channel text,
        country text,
        city text,
        device_type text,
        browser_name text,
        os_name text,
        landing_page text,
        primary key (site_id, visitor_id)
    ) with (fillfactor = 90);
    create index cohort_visitors_by_first_day on cohort_visitors (site_id, first_day);

    -- Sums of cohort_visitors. part: visitors, converted (by first_day); day, week, month (visitors active in the bucket that begins
    -- at "at"); money (orders and revenue of the day "at").
    create table cohort_cells (
        site_id integer not null,
        part text not null,
        first_day date not null,
        at date not null,
        visitors bigint not null,
        orders bigint not null,
        revenue numeric not null,
        primary key (site_id, part, first_day, at)
    ) with (fillfactor = 70);

    -- Visitors whose row is not up to date. Reports count these from their sessions and orders, so figures are exact at any moment.
    create table cohort_dirty (
        site_id integer not null,
        visitor_id uuid not null,
        marked_at timestamptz not null,
        primary key (site_id, visitor_id)
    ) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, vacuum_truncate = off);

    -- By which settings of a site its rows were made: with others they are of no use. A site without a row has none.
    create table cohort_sites (
        site_id integer primary key,
        time_zone text not null,
        revenue_from_events boolean not null
    );
end
$$
