-- A line of an order may say a million pieces at a hundred trillion each, and its rate ten billion: more than any reader of an amount holds, and
-- the figures of a whole site stood still for one such order. More than a column of money holds is taken for that much.
create or replace view sold_items as
select f.site_id, f.day, f.order_id,
    -- sku, else the shop's product id, else the name.
    coalesce(i.line ->> 'sku', i.line ->> 'product_id', i.line ->> 'name') as item,
    i.line ->> 'name' as name,
    n.quantity,
    -- In the site's currency, as ordered: refunds and discounts of the order are not spread over items. Null without a price or rate, which
    -- least() would take for the limit.
    case when n.amount > 99999999999999.9999 then 99999999999999.9999 else n.amount end as amount
from order_facts f join orders o on o.site_id = f.site_id and o.order_id = f.order_id
cross join lateral jsonb_array_elements(o.items) as i (line)
cross join lateral (select coalesce((i.line ->> 'quantity')::numeric, 1) as quantity,
    round(coalesce((i.line ->> 'quantity')::numeric, 1) * (i.line ->> 'price')::numeric * o.rate, 4) as amount) as n
where f.purchase and o.items is not null;
