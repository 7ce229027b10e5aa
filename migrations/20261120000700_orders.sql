-- The truth about money, from the shop's backend. The touch's dimensions are copied on when an order is linked, so that money
-- by source needs no join. visitor_id and session_id may be learnt later; no foreign key to sessions.
do $$
begin
    create table orders (
        site_id integer not null,
        order_id text not null,
        order_number text,
        visitor_id uuid,
        session_id uuid,
        -- How it was linked: session, visitor, customer, contact; null when it was not, then unlinked_cause says why.
        link_method text,
        unlinked_cause text,
        -- Keyed hashes (16 bytes): the shop's customer id, e-mail, phone in E.164.
        customer_hash bytea,
        email_hash bytea,
        phone_hash bytea,
        -- Plain contact, only where the site switched it on.
        customer_contact jsonb,
        currency text not null,
        -- Units of the site's currency for one unit of currency; null when unknown, then the order is left out of sums.
        rate numeric(18, 8),
        total numeric(18, 4) not null,
        discount numeric(18, 4) not null default 0,
        tax numeric(18, 4) not null default 0,
        shipping numeric(18, 4) not null default 0,
        refunded numeric(18, 4) not null default 0,
        -- What the order adds to revenue in the site's currency: paid, net of refunds; 0 unless paid; null without a rate.
        revenue numeric(18, 4),
        payment_method text,
        payment_status text not null check (payment_status in ('unpaid', 'prepaid', 'paid', 'refunded', 'partially_refunded', 'cancelled')),
        sales_channel text,
        items jsonb,
        -- Fields that the API accepts and no report uses yet (loyalty, subscription, promo code, …).
        extra jsonb,
        created_at timestamptz not null,
        paid_at timestamptz,
        refunded_at timestamptz,
        updated_at timestamptz not null,
        received_at timestamptz not null default now(),

        -- Copied from the session when linked.
        session_first_seen timestamptz,
        bot_reason smallint,
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
        landing_path text,
        primary key (site_id, order_id)
    );
    create index orders_by_session on orders (site_id, session_id) where session_id is not null;
    create index orders_by_created on orders (site_id, created_at);

    -- Which visitors a contact was seen with, learnt from linked orders and identified events: an order that brings only an e-mail
    -- finds its visitor here. Placeholder contacts are kept out by the site's block list.
    create table visitor_contacts (
        site_id integer not null,
        contact_hash bytea not null,
        visitor_id uuid not null,
        -- customer, email, phone
        kind text not null,
        last_seen timestamptz not null,
        primary key (site_id, contact_hash, visitor_id)
    );

    -- Units of quote for one unit of base on a day; an order without its own rate takes its day's, else the latest earlier one
    -- of the last seven days.
    create table exchange_rates (
        base text not null,
        quote text not null,
        day date not null,
        rate numeric(18, 8) not null check (rate > 0),
        primary key (base, quote, day)
    );
end
$$
