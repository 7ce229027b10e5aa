-- Orders as customer and business figures see them: narrow, in the site's currency and on the site's local day, with the number of
-- the customer. Made from `orders` by the business upkeep: whoever changes an order leaves a mark in the same transaction.
do $$
begin
    -- Orders to look at; no key, insert only, emptied within seconds.
    create table order_marks (site_id integer not null, order_id text not null);
    alter table order_marks set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 200000, vacuum_truncate = off);

    create table order_facts (
        site_id integer not null,
        order_id text not null,
        created_at timestamptz not null,
        -- Local day on which it was placed.
        day date not null,
        payment_status text not null,
        -- Paid or partially refunded.
        purchase boolean not null,
        -- As in orders: net of refunds, 0 unless it is a purchase, null without an exchange rate.
        revenue numeric,
        discount numeric,
        payment_method text,
        sales_channel text,
        -- Revenue stream: as the shop named it, else from what the order carries.
        stream text not null,
        customer_hash bytea,
        email_hash bytea,
        phone_hash bytea,
        -- Contact hash of the customer who referred it.
        referred_by bytea,
        referral_code text,
        -- Lower-case.
        promo_code text,
        utm_campaign text,
        vip_tier text,
        subscription text,
        subscription_active boolean,
        loyalty_earned numeric,
        loyalty_redeemed numeric,
        session_first_seen timestamptz,
        bot_reason smallint,
        -- Kept by the joining of customers. Null: no contact that may join.
        customer_no bigint,
        -- The how many-th purchase of its customer; null for what is no purchase or nobody's.
        purchase_no integer,
        -- The customer placed another purchase in the same minute of the clock.
        same_minute boolean not null default false,
        primary key (site_id, order_id)
    );
    create index order_facts_of_customer on order_facts (site_id, customer_no, created_at) include (session_first_seen, bot_reason) where purchase;
    create index order_facts_of_anybody on order_facts (site_id, customer_no);
    create index order_facts_by_day on order_facts (site_id, day);
    create index order_facts_by_session_day on order_facts (site_id, session_first_seen) include (customer_no, created_at, bot_reason) where purchase;
    create index order_facts_by_customer_hash on order_facts (site_id, customer_hash, created_at) where customer_hash is not null;
    create index order_facts_by_email on order_facts (site_id, email_hash, created_at) where email_hash is not null;
    create index order_facts_by_phone on order_facts (site_id, phone_hash, created_at) where phone_hash is not null;
    create index order_facts_by_referrer on order_facts (site_id, referred_by) where referred_by is not null;
    create index order_facts_by_promo on order_facts (site_id, promo_code, day) where promo_code is not null;
    create index order_facts_by_campaign on order_facts (site_id, utm_campaign, day) where utm_campaign is not null;
    create index order_facts_same_minute on order_facts (site_id, created_at) where same_minute;

    -- What order_facts must say, from orders: the only definition.
    create view order_facts_now as
    select o.site_id, o.order_id, o.created_at,
        (o.created_at at time zone s.time_zone)::date as day,
        o.payment_status,
        o.payment_status in ('paid', 'partially_refunded') as purchase,
        o.revenue::numeric as revenue,
        round(o.discount * o.rate, 4) as discount,
        o.payment_method, o.sales_channel,
        coalesce(o.extra ->> 'revenue_stream', case when o.extra ? 'subscription' then 'subscription'
            when o.extra ? 'referred_by' or o.extra ? 'referral_code' then 'referral' else 'direct_order' end) as stream,
        o.customer_hash, o.email_hash, o.phone_hash,
        decode(o.extra ->> 'referred_by', 'hex') as referred_by,
        o.extra ->> 'referral_code' as referral_code,
        lower(o.extra ->> 'promo_code') as promo_code,
        o.utm_campaign,
        o.extra ->> 'vip_tier' as vip_tier,
        o.extra ->> 'subscription' as subscription,
        (o.extra ->> 'subscription_active')::boolean as subscription_active,
        (o.extra ->> 'loyalty_earned')::numeric as loyalty_earned,
        (o.extra ->> 'loyalty_redeemed')::numeric as loyalty_redeemed,
        o.session_first_seen, o.bot_reason
    from orders o join sites s on s.site_id = o.site_id;
end
$$
