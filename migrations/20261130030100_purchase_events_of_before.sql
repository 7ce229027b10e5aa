-- The sums of the events that are still there. Of a session whose events are gone it is known that it had a lead or purchase, so it had one.
do $$
begin
    update sessions s set lead_events = k.leads, purchase_events = k.purchases, valued_purchase_events = k.valued
        from (
            select x.site_id, x.visitor_id, x.session_id,
                case when x.lead_at is not null then greatest(1, count(*) filter (where e.action = 6)) else 0 end as leads,
                case when x.purchase_at is not null then greatest(1, count(*) filter (where e.action = 7)) else 0 end as purchases,
                case when count(*) filter (where e.action = 7) > 0
                    then count(*) filter (where e.action = 7 and e.value is not null and coalesce(e.currency, i.currency) = i.currency)
                    when x.event_revenue <> 0 then 1 else 0 end as valued
            from sessions x
            join sites i on i.site_id = x.site_id
            left join events e on e.site_id = x.site_id and e.visitor_id = x.visitor_id and e.session_id = x.session_id
                and e.action in (6, 7)
            where x.lead_at is not null or x.purchase_at is not null
            group by x.site_id, x.visitor_id, x.session_id, x.lead_at, x.purchase_at, x.event_revenue
        ) k
        where s.site_id = k.site_id and s.visitor_id = k.visitor_id and s.session_id = k.session_id;

    -- Cohorts count orders: where these are events, they are made anew.
    delete from cohort_sites where revenue_from_events;
end
$$
