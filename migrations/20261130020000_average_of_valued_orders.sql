-- The average order is revenue by purchases of known value, as the catalogue has it: the business figures divided by all purchases, so that
-- one without an exchange rate lowered it. What each sum leaves out is counted beside it.
do $$
begin
    -- These sums are right at once; purchases without a rate are few.
    alter table revenue_streams add column unvalued_orders integer not null default 0;
    update revenue_streams r set unvalued_orders = f.unvalued
        from (select site_id, day, stream, count(*) as unvalued from order_facts where purchase and revenue is null group by 1, 2, 3) f
        where r.site_id = f.site_id and r.day = f.day and r.stream = f.stream;
    alter table campaign_performance add column unvalued_orders integer not null default 0;
    update campaign_performance p set unvalued_orders = f.unvalued
        from (select site_id, campaign_id, day, count(*) as unvalued from campaign_orders where purchase and revenue is null group by 1, 2, 3) f
        where p.site_id = f.site_id and p.campaign_id = f.campaign_id and p.day = f.day;
    -- Only a purchase can be without value: what is none adds 0 whatever its rate.
    alter table daily_analytics_snapshots drop column avg_order_value,
        add column avg_order_value numeric generated always as (round(revenue / nullif(purchases - unvalued_orders, 0), 2)) stored;

    -- Customers, and with them their segments' sums, are made anew because the layout of their blocks is another one. Until then, a few
    -- seconds, blocks of the old layout must not be read: customers are counted from their rows where there are none.
    alter table customer_segment_days add column unvalued_orders bigint not null default 0;
    drop view customer_metrics_today;
    alter table customer_metrics add column unvalued_orders integer not null default 0;
    update customer_metrics m set unvalued_orders = f.unvalued
        from (select site_id, customer_no, count(*) as unvalued from order_facts
            where purchase and revenue is null and customer_no is not null group by 1, 2) f
        where m.site_id = f.site_id and m.customer_no = f.customer_no;
    alter table customer_metrics drop column avg_order_value,
        add column avg_order_value numeric generated always as (round(revenue / nullif(orders - unvalued_orders, 0), 2)) stored;
    delete from customer_blocks;
end
$$
