-- A rate is a site's own: the key of one shop must not change the figures of another. The quote is always the site's currency.
do $$
begin
    drop table exchange_rates;
    -- Units of the site's currency for one unit of currency on a local day; an order without its own rate takes its day's, else the
    -- latest earlier one of the seven days before.
    create table exchange_rates (
        site_id integer not null,
        currency text not null,
        day date not null,
        rate numeric(18, 8) not null check (rate > 0),
        primary key (site_id, currency, day)
    );
end
$$
