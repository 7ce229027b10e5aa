-- Sums of a local day's orders, by the day on which they were placed; a refund lowers the day of its order.
do $$
begin
    create table daily_analytics_snapshots (
        site_id integer not null,
        day date not null,
        -- Of any status.
        orders integer not null,
        -- Paid or partially refunded.
        purchases integer not null,
        -- Net of refunds.
        revenue numeric not null,
        avg_order_value numeric generated always as (round(revenue / nullif(purchases, 0), 2)) stored,
        -- Given on purchases.
        discounts numeric not null,
        -- Customers with a purchase; those whose first it was; the others. Purchases of nobody known.
        unique_customers integer not null,
        new_customers integer not null,
        returning_customers integer generated always as (unique_customers - new_customers) stored,
        unidentified_purchases integer not null,
        vip_orders integer not null,
        subscription_orders integer not null,
        -- Without an exchange rate: in no sum of money.
        unvalued_orders integer not null,
        -- Purchases by payment method ('' when not stated); orders by payment status.
        payment_methods jsonb not null,
        statuses jsonb not null,
        primary key (site_id, day)
    );

    create table revenue_streams (
        site_id integer not null,
        day date not null,
        stream text not null,
        amount numeric not null,
        transactions integer not null,
        primary key (site_id, day, stream)
    );
end
$$
