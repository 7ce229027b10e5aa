-- An order in a currency without a known rate is left out of revenue, so an average that divides by it would be too low: purchases with a known
-- revenue are counted beside all purchases.
do $$
begin
    -- Paid orders without a rate. Few have one, so it is these that are kept and not the others.
    alter table sessions add column unvalued_orders integer not null default 0;
    update sessions s set unvalued_orders = o.unvalued
        from (select site_id, visitor_id, session_id, count(*)::integer as unvalued from orders
            where payment_status in ('paid', 'partially_refunded') and revenue is null and visitor_id is not null and session_id is not null
            group by 1, 2, 3) o
        where s.site_id = o.site_id and s.visitor_id = o.visitor_id and s.session_id = o.session_id;

    alter table rollups add column valued_purchases integer not null default 0;
    update rollups set valued_purchases = purchases where purchases <> 0;
    -- The hours of the few are summed up anew.
    insert into rollup_dirty (site_id, hour)
        select distinct site_id, date_trunc('hour', first_seen, 'UTC') from sessions where unvalued_orders > 0
        on conflict do nothing;
end
$$
