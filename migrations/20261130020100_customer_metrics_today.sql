-- As before, with the columns that customer_metrics has now.
create view customer_metrics_today as
select m.*, m.revenue as lifetime_value, d.today - m.last_day as days_since_last_order,
    (array['vip', 'loyal', 'active', 'new', 'at_risk', 'lost'])[g.segment] as segment,
    coalesce(g.segment in (5, 6), false) as churn_risk
from customer_metrics m
join sites s on s.site_id = m.site_id
cross join lateral (select (now() at time zone s.time_zone)::date as today) d
cross join lateral (select m.segments[width_bucket(d.today, m.move_days)] as segment) g
