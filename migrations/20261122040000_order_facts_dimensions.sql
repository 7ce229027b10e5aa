-- The dimensions that an order takes over from its session, so that business figures and repeat purchases can be filtered by them
-- without reading the orders themselves.
do $$
begin
    alter table order_facts
        add column utm_source text,
        add column utm_medium text,
        add column utm_content text,
        add column utm_term text,
        add column channel text,
        add column country text,
        add column city text,
        add column device_type text,
        add column browser_name text,
        add column os_name text,
        add column landing_path text;
    -- Purchases of one source by customer: who came back, without touching the rows.
    create index order_facts_by_source on order_facts (site_id, utm_source, customer_no, created_at)
        include (session_first_seen, bot_reason) where purchase;
    -- Each customer once: by the first purchase in a window of days.
    create index order_facts_first_of_days on order_facts (site_id, day) include (previous_day) where purchase_no is not null;
    -- Purchases of nobody known, by either date.
    create index order_facts_of_nobody on order_facts (site_id, created_at) include (bot_reason) where purchase and customer_no is null;
    create index order_facts_of_nobody_by_session on order_facts (site_id, session_first_seen) include (bot_reason)
        where purchase and customer_no is null;

    create or replace view order_facts_now as
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
        o.session_first_seen, o.bot_reason,
        o.utm_source, o.utm_medium, o.utm_content, o.utm_term, o.channel, o.country, o.city, o.device_type, o.browser_name, o.os_name,
        o.landing_path
    from orders o join sites s on s.site_id = o.site_id;
end
$$
