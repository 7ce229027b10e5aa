-- Page views and conversions of people as relations, for whoever asks with SQL. Actions by their codes in shared::action.
do $$
begin
    create view page_view_analytics as
    select e.site_id, (e.occurred_at at time zone s.time_zone)::date as day, e.path as page_name, count(*) as view_count,
        count(distinct e.visitor_id) as visitors, count(distinct e.session_id) as sessions
    from events e join sites s on s.site_id = e.site_id
    where e.action = 1 and e.bot_reason is null
    group by 1, 2, 3;

    create view conversion_events as
    select e.site_id, e.event_id, e.occurred_at, (e.occurred_at at time zone s.time_zone)::date as day,
        case e.action when 3 then 'add_to_cart' when 5 then 'initiate_checkout' when 6 then 'lead' when 7 then 'purchase' else 'sign_up' end as event_type,
        e.visitor_id, e.session_id, e.order_id, e.value, e.currency
    from events e join sites s on s.site_id = e.site_id
    where e.action in (3, 5, 6, 7, 12) and e.bot_reason is null;
end
$$
