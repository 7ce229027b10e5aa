-- Customers by the source of their first purchase ('' for none) and the calendar months in which they purchased: whom a source brought, month
-- after month, without reading them one by one. Kept with the other sums over customers.
do $$
begin
    create table customer_months (
        site_id integer not null,
        utm_source text not null,
        -- Twelve times the year, plus the month less one.
        month integer not null,
        -- With a purchase in it; those of them who also purchased in the month before; and those whose first purchase is in it.
        customers bigint not null,
        retained bigint not null,
        new_customers bigint not null,
        purchases bigint not null,
        primary key (site_id, utm_source, month)
    ) with (fillfactor = 80);

    insert into customer_months (site_id, utm_source, month, customers, retained, new_customers, purchases)
        select site_id, coalesce(utm_source, ''), k.month, count(*), count(*) filter (where k.before = k.month - 1),
            count(*) filter (where k.before is null), sum(k.n)
        from customer_metrics
        cross join lateral unnest(purchase_months, array_prepend(null::integer, purchase_months), month_purchases) as k(month, before, n)
        where k.month is not null group by 1, 2, 3;
end
$$
