-- What the paying sessions of a campaign brought, for A/B tests. Events of a session without revenue do not touch it.
create index sessions_with_revenue on sessions (site_id, utm_campaign, first_seen) where revenue <> 0
