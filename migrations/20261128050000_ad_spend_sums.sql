-- Sums of ad_spend, which questions read instead of a row for every ad and day. Written anew, for the days that changed, in the transaction
-- that changes ad_spend; the site's row is locked meanwhile, so that two of them never leave each other's rows out. Clicks and impressions
-- are null where no row says any.
do $$
begin
    create table ad_spend_days (
        site_id integer not null,
        day date not null,
        utm_source text not null,
        utm_medium text not null,
        channel text not null,
        currency text not null,
        amount numeric not null,
        clicks bigint,
        impressions bigint,
        primary key (site_id, day, utm_source, utm_medium, channel, currency)
    );

    create table ad_spend_months (
        site_id integer not null,
        -- Its first day.
        month date not null,
        utm_source text not null,
        utm_medium text not null,
        utm_campaign text not null,
        utm_content text not null,
        channel text not null,
        currency text not null,
        amount numeric not null,
        clicks bigint,
        impressions bigint,
        -- The last day of the month that the site has spend of: a period that ends there has the whole of it.
        last_day date not null,
        primary key (site_id, month, utm_source, utm_medium, utm_campaign, utm_content, channel, currency)
    );

    insert into ad_spend_days
    select site_id, day, utm_source, utm_medium, channel, currency, sum(amount), sum(clicks)::bigint, sum(impressions)::bigint
    from ad_spend
    group by 1, 2, 3, 4, 5, 6;

    insert into ad_spend_months
    select site_id, month, utm_source, utm_medium, utm_campaign, utm_content, channel, currency, sum(amount), sum(clicks)::bigint, sum(impressions)::bigint,
        max(max(day)) over (partition by site_id, month)
    from (select *, date_trunc('month', day::timestamp)::date as month from ad_spend) a
    group by 1, 2, 3, 4, 5, 6, 7, 8;
end
$$
