-- Deliveries of an order's states arrive in any order and more than once; these columns let every order of arrival end in the same row.
do $$
begin
    alter table orders
        -- The session and visitor that the shop named; session_id and visitor_id are those it was linked to, null while it is not linked.
        add column named_session_id uuid,
        add column named_visitor_id uuid,
        -- Of what state (its updated_at) each identifier is: a later state without it does not take it away.
        -- Keys: session, visitor, customer, email, phone, created_at.
        add column named_at jsonb not null default '{}',
        -- Decides between two states of the same updated_at: the larger one stays.
        add column content_hash bytea not null default '',
        -- The rate came with the order; else it is its day's and follows exchange_rates.
        add column rate_given boolean not null default false,
        -- When its link and the copied dimensions are looked at again, since events travel slower than orders; null when settled.
        add column recheck_at timestamptz;
    create index orders_recheck on orders (site_id, recheck_at) where recheck_at is not null;
    -- Orders that a new rate can change.
    create index orders_by_foreign_day on orders (site_id, currency, created_at) where not rate_given;
end
$$
