-- What was sold, a row for each line of a purchase: the only definition, for a day's best sellers and for its packed orders.
create view sold_items as
select f.site_id, f.day, f.order_id,
    -- sku, else the shop's product id, else the name.
    coalesce(i.line ->> 'sku', i.line ->> 'product_id', i.line ->> 'name') as item,
    i.line ->> 'name' as name,
    coalesce((i.line ->> 'quantity')::numeric, 1) as quantity,
    -- In the site's currency, as ordered: refunds and discounts of the order are not spread over items.
    round(coalesce((i.line ->> 'quantity')::numeric, 1) * (i.line ->> 'price')::numeric * o.rate, 4) as amount
from order_facts f join orders o on o.site_id = f.site_id and o.order_id = f.order_id
cross join lateral jsonb_array_elements(o.items) as i (line)
where f.purchase and o.items is not null;
