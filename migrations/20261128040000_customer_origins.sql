-- What brought a customer: the dimensions of the first purchase, so that customers can be filtered without reading their orders; and the
-- months in which they purchased, from which retention follows. Filled when everything is made anew, which the rules' number asks for.
do $$
begin
    alter table customer_metrics
        -- The first purchase, and what it took over from its session.
        add column first_order_id text,
        add column utm_source text,
        add column utm_medium text,
        add column utm_campaign text,
        add column utm_content text,
        add column utm_term text,
        add column channel text,
        add column country text,
        add column city text,
        add column device_type text,
        add column browser_name text,
        add column os_name text,
        add column landing_path text,
        -- Calendar months with a purchase, ascending, counted from the year 0: twelve times the year, plus the month less one. And how
        -- many purchases each had.
        add column purchase_months integer[] not null default '{}',
        add column month_purchases integer[] not null default '{}';
    create index customer_metrics_by_source on customer_metrics (site_id, utm_source);

    -- Also by the source of the first purchase ('' for none): who brings which customers.
    alter table customer_groups add column utm_source text not null default '';
    alter table customer_groups drop constraint customer_groups_pkey;
    alter table customer_groups add primary key (site_id, utm_source, vip_tier, band);
end
$$
