-- Sums over customers, so that no page reads them one by one. Each is kept with the customers' rows, in the same transaction: what a
-- customer's row adds to a sum is taken off before the row changes and put on again after.
do $$
begin
    alter table customer_metrics
        -- Purchases that are not taken for a bot's, ascending, and when the session of each began (null: none).
        add column purchases_at timestamptz[] not null default '{}',
        add column sessions_at timestamptz[] not null default '{}',
        -- A purchase of a later session was placed before one of an earlier session: then the time between the first and the last
        -- purchase of some sessions is not the sum of the times between neighbours.
        add column crossed boolean not null default false;
    create index customer_metrics_crossed on customer_metrics (site_id, customer_no) where crossed;

    -- Pairs of a customer's purchases, by the local days of both: how many customers came back within any days follows from them.
    create table repeat_purchases (
        site_id integer not null,
        -- Which day: 0, on which the order was placed; 1, on which its session began.
        basis smallint not null,
        -- How many purchases of the same customer the earlier one lies before the later one; 0: the purchase itself.
        back smallint not null,
        -- Of the earlier one; '-infinity' sums all of them up.
        earlier_day date not null,
        -- Of the later one.
        day date not null,
        purchases bigint not null,
        -- Microseconds between neighbours (back = 1); by session without crossed customers.
        between_us bigint not null,
        primary key (site_id, basis, back, earlier_day, day)
    ) with (fillfactor = 80);

    -- What changes in a segment on a day: customers who enter less those who leave, with what they spent and bought in all.
    create table customer_segment_days (
        site_id integer not null,
        day date not null,
        segment smallint not null,
        customers bigint not null,
        revenue numeric not null,
        orders bigint not null,
        primary key (site_id, day, segment)
    ) with (fillfactor = 80);

    -- Who goes from which segment (null: no customer yet) to which on a day.
    create table customer_moves (
        site_id integer not null,
        day date not null,
        customer_no bigint not null,
        from_segment smallint,
        to_segment smallint not null,
        primary key (site_id, day, customer_no) include (from_segment, to_segment)
    );

    -- Customers by VIP tier ('' for none) and by the band of what they spent in all.
    create table customer_groups (
        site_id integer not null,
        vip_tier text not null,
        -- How many of the site's bands are reached.
        band integer not null,
        customers bigint not null,
        revenue numeric not null,
        orders bigint not null,
        subscribers bigint not null,
        loyalty_earned numeric not null,
        loyalty_redeemed numeric not null,
        referrers bigint not null,
        referrals bigint not null,
        repeat_customers bigint not null,
        primary key (site_id, vip_tier, band)
    ) with (fillfactor = 80);
end
$$
