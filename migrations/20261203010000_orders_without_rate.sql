-- Orders in another currency whose rate nobody has told yet: few, and looked for whenever somebody looks at the rates.
create index orders_without_rate on orders (site_id, currency, created_at) where rate is null;
