-- What the paying sessions of a campaign brought, for A/B tests, without touching the sessions themselves: they lie in as many places as
-- they are many.
do $$
begin
    create index sessions_revenue_of_campaign on sessions (site_id, utm_campaign, first_seen) include (utm_content, bot_reason, revenue)
        where revenue <> 0;
    drop index sessions_with_revenue;
end
$$
