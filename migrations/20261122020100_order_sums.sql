-- Sums of orders by the hour and UTC day in which they were placed, by how they were linked: what coverage says, without reading every
-- order. A row of hours = 24 is the sum of its day's hours. rollup_dirty says which hours are not up to date, as for rollups: whoever
-- changes an order marks the hour in which it was placed.
do $$
begin
    create table order_sums (
        site_id integer not null,
        -- 1 or 24
        hours smallint not null,
        start timestamptz not null,
        -- Whether the order has a session; how it was linked, or why not.
        linked boolean not null,
        link_method text,
        unlinked_cause text,
        orders integer not null,
        -- Purchases whose currency has no known rate, so that their revenue is unknown.
        without_rate integer not null,
        revenue numeric not null
    );
    create index order_sums_by_start on order_sums (site_id, hours, start);

    -- Hours that are clean stay so: nothing has to be summed up again because of this table.
    insert into order_sums (site_id, hours, start, linked, link_method, unlinked_cause, orders, without_rate, revenue)
        select site_id, 1, date_trunc('hour', created_at, 'UTC'), session_id is not null, link_method, unlinked_cause, count(*),
            count(*) filter (where revenue is null), coalesce(sum(revenue), 0)
        from orders group by 1, 3, 4, 5, 6;
    insert into order_sums (site_id, hours, start, linked, link_method, unlinked_cause, orders, without_rate, revenue)
        select site_id, 24, date_trunc('day', start, 'UTC'), linked, link_method, unlinked_cause, sum(orders), sum(without_rate), sum(revenue)
        from order_sums group by 1, 3, 4, 5, 6;
end
$$
