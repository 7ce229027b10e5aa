-- The day of a customer's purchase before: with it customers of a month, and those who stayed, add up over days. And what was sold.
do $$
begin
    alter table order_facts add column previous_day date;
    alter table daily_analytics_snapshots
        -- Customers whose first purchase of the calendar month it was; and those of them who also purchased in the month before.
        add column month_customers integer not null default 0,
        add column month_retained integer not null default 0;

    -- Items of the day's purchases.
    create table daily_item_sales (
        site_id integer not null,
        day date not null,
        -- sku, else the shop's product id, else the name.
        item text not null,
        name text,
        quantity numeric not null,
        -- Price times quantity, in the site's currency, as ordered: refunds and discounts of the order are not spread over items.
        amount numeric not null,
        orders integer not null,
        primary key (site_id, day, item)
    );

    -- Changed since its performance was made.
    alter table campaigns add column stale boolean not null default true;
end
$$
