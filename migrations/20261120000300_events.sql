-- What visitors did, one row an event, in months. minted_at is always the time inside the UUIDv7, so a repeated event_id meets
-- the same key and month and is ignored: no table-wide unique index is needed. Visitor first: one index serves deduplication,
-- a session's events and erasure. No further index; each would cost about 15 % of ingest.
create table events (
    site_id integer not null,
    visitor_id uuid not null,
    event_id uuid not null,
    minted_at timestamptz not null,
    session_id uuid not null,
    -- When it happened, by the clock that saw it; equals minted_at but for imports and server-side events.
    occurred_at timestamptz not null,
    -- shared::action::Action::code
    action smallint not null,
    -- shared::event::Origin::code
    origin smallint not null,
    visit_no smallint not null,
    -- shared::event::BotReason::code; null for a person
    bot_reason smallint,
    human boolean not null default false,
    points integer not null,
    quantity integer,
    amount integer,
    -- Money in the currency given, or the site's.
    value numeric(18, 4),
    currency text,
    name text,
    path text,
    product_id text,
    order_id text,
    label text,
    props jsonb,
    primary key (site_id, visitor_id, event_id, minted_at)
) partition by range (minted_at)
