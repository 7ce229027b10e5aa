-- Who was in which segment, of those who were customers before a window of any length, without touching the customers' rows.
do $$
begin
    drop index customer_metrics_by_first_day;
    create index customer_metrics_by_first_day on customer_metrics (site_id, first_day) include (move_days, segments);
end
$$
