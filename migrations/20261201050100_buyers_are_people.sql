-- Who ordered is a person, also where the browser script was blocked: sessions of orders from before this was noted. Their hours are summed
-- up anew, and those of the visitors' later sessions.
do $$
begin
    insert into rollup_marks (site_id, visitor_id, hour)
        select distinct later.site_id, later.visitor_id, date_trunc('hour', later.first_seen, 'UTC')
        from sessions s
        join sessions later on later.site_id = s.site_id and later.visitor_id = s.visitor_id and later.first_seen >= s.first_seen
        where s.orders > 0 and not s.human_seen;
    update sessions set human_seen = true where orders > 0 and not human_seen;
end
$$
