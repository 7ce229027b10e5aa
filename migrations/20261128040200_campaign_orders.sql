-- Which orders a campaign influenced: the only definition. Each order once a campaign, found by the value of its session or by its promo code.
create view campaign_orders as
select c.campaign_id, o.*
from campaigns c cross join lateral (
    select f.* from order_facts f
    where f.site_id = c.site_id and f.utm_campaign = any(c.utm_campaigns) and f.day >= c.start_day
        and f.day <= coalesce(c.end_day, 'infinity'::date)
    union all
    select f.* from order_facts f
    where f.site_id = c.site_id and f.promo_code = any(c.promo_codes) and f.day >= c.start_day
        and f.day <= coalesce(c.end_day, 'infinity'::date)
        and (f.utm_campaign is null or f.utm_campaign <> all(c.utm_campaigns))
) o
where c.status <> 'draft'
