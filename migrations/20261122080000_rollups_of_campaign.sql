-- The days of one campaign's creatives, for A/B tests and for lists of content filtered by campaign: without it every creative of the shop is
-- read to find a few. Split 3 holds utm_content in v0 and utm_campaign in v1 (see the splits of `central-api/src/rollup`).
do $$
begin
    create index rollups_of_campaign on rollups (site_id, v1, start) include (v0) where hours = 24 and split = 3;
end
$$
