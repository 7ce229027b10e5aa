-- How long before a move its customer's move before was (null: none): tells the few who moved more than once in a window, so that the
-- others need not be looked at one by one.
do $$
begin
    alter table customer_moves add column lag integer;
    create index customer_moves_by_lag on customer_moves (site_id, lag, day) include (customer_no, from_segment, to_segment)
        where lag < 30;
end
$$
