-- Whose an event is, a person's or a machine's, its session says, as in every other figure: it may have shown itself after the event. An
-- event whose session is gone says it itself.
do $$
begin
    create or replace view page_view_analytics as
    select e.site_id, (e.occurred_at at time zone s.time_zone)::date as day, e.path as page_name, count(*) as view_count,
        count(distinct e.visitor_id) as visitors, count(distinct e.session_id) as sessions
    from events e join sites s on s.site_id = e.site_id
    left join sessions n on n.site_id = e.site_id and n.visitor_id = e.visitor_id and n.session_id = e.session_id
    where e.action = 1 and (case when n.session_id is null then e.bot_reason else n.bot_reason end) is null
    group by 1, 2, 3;

    create or replace view conversion_events as
    select e.site_id, e.event_id, e.occurred_at, (e.occurred_at at time zone s.time_zone)::date as day,
        case e.action when 3 then 'add_to_cart' when 5 then 'initiate_checkout' when 6 then 'lead' when 7 then 'purchase' else 'sign_up' end as event_type,
        e.visitor_id, e.session_id, e.order_id, e.value, e.currency
    from events e join sites s on s.site_id = e.site_id
    left join sessions n on n.site_id = e.site_id and n.visitor_id = e.visitor_id and n.session_id = e.session_id
    where e.action in (3, 5, 6, 7, 12) and (case when n.session_id is null then e.bot_reason else n.bot_reason end) is null;
end
$$
