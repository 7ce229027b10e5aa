-- Customers: orders joined by shared contacts, kept as orders arrive and change.
do $$
begin
    create sequence customer_numbers as bigint;

    -- Every contact that stands on an order and is not on the site's block list.
    create table customer_contacts (
        site_id integer not null,
        contact_hash bytea not null,
        -- customer, email, phone
        kind text not null,
        -- Whose it is; null when too many people share it.
        customer_no bigint,
        -- Of a shared contact: the orders that carry it, and the most different values of another kind seen with it.
        orders bigint,
        identities bigint,
        primary key (site_id, contact_hash)
    );
    create index customer_contacts_of on customer_contacts (site_id, customer_no) where customer_no is not null;
    create index customer_contacts_shared on customer_contacts (site_id, orders desc, contact_hash) where customer_no is null;

    -- Customers with at least one purchase, as of their latest order. What depends on today's date (days since, churn risk, segment)
    -- is derived from it when asked.
    create table customer_metrics (
        site_id integer not null,
        customer_no bigint not null,
        -- Purchases, and orders of any status.
        orders integer not null,
        orders_placed integer not null,
        -- Net of refunds, in the site's currency; orders without an exchange rate add nothing.
        revenue numeric not null,
        discounts numeric not null,
        first_order_at timestamptz not null,
        last_order_at timestamptz not null,
        -- The same as local days.
        first_day date not null,
        last_day date not null,
        vip_tier text,
        subscription text,
        subscription_active boolean not null,
        loyalty_earned numeric not null,
        loyalty_redeemed numeric not null,
        -- Other customers with a purchase that this one referred.
        referrals integer not null,
        -- From each of these local days on the customer is in the segment at the same place; days ahead are known because a segment
        -- also ends by time. segments[width_bucket(day, move_days)] is the segment on any day.
        move_days date[] not null,
        segments smallint[] not null,
        avg_order_value numeric generated always as (round(revenue / orders, 2)) stored,
        primary key (site_id, customer_no)
    );
    create index customer_metrics_by_revenue on customer_metrics (site_id, revenue desc, customer_no);
    create index customer_metrics_by_last_day on customer_metrics (site_id, last_day);
    create index customer_metrics_by_first_day on customer_metrics (site_id, first_day);

    -- With which settings a site's business figures were made; other settings mean that they are made anew.
    create table business_states (
        site_id integer primary key,
        -- Time zone, block list: what order_facts and customers stand on.
        join_rules text not null,
        -- What segments stand on.
        segment_rules text not null,
        built_at timestamptz not null
    );
end
$$
