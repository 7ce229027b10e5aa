//! One session with everything that belongs to it.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use shared::event::Origin;
use shared::limits::VISIT_IDLE_MS;
use sqlx::PgExecutor;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

/// What a session has beyond [`crate::reports::session::SessionRow`].
#[derive(Debug)]
#[expect(missing_docs, reason = "columns of the table sessions, where they are described")]
pub struct More {
    pub visitor_id: Uuid,
    pub first_seen: DateTime<Utc>,
    pub utm_id: Option<String>,
    pub utm_source_platform: Option<String>,
    pub utm_creative_format: Option<String>,
    pub raw: Option<serde_json::Value>,
    pub inferred: bool,
    pub click_ids: Option<serde_json::Value>,
    pub referral: Option<String>,
    pub referrer_path: Option<String>,
    pub landing_host: Option<String>,
    pub landing_query: Option<String>,
    pub os_version: Option<String>,
    pub browser_version: Option<String>,
    pub time_zone: Option<String>,
    pub continent: Option<String>,
    pub as_organization: Option<String>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub registered_at: Option<DateTime<Utc>>,
}

/// The session, looked for by its id alone.
///
/// # Errors
/// The database's.
pub async fn more(db: impl PgExecutor<'_>, site_id: i32, session_id: Uuid) -> sqlx::Result<Option<More>> {
    sqlx::query_as!(
        More,
        r#"select s.visitor_id, s.first_seen, s.utm_id, s.utm_source_platform, s.utm_creative_format, s.raw, s.inferred, s.click_ids,
            s.referral, s.referrer_path, s.landing_host, s.landing_query, s.os_version, s.browser_version, s.time_zone, s.continent,
            s.as_organization, host(s.ip) as ip,
            (select u.user_agent from user_agents u where u.ua_hash = s.ua_hash) as user_agent, s.registered_at
        from sessions s where s.site_id = $1 and s.session_id = $2 order by s.first_seen limit 1"#,
        site_id,
        session_id,
    )
    .fetch_optional(db)
    .await
}

/// An event of a session.
#[derive(Debug)]
#[expect(missing_docs, reason = "columns of the table events, where they are described")]
pub struct Action {
    pub event_id: Uuid,
    pub occurred_at: DateTime<Utc>,
    pub action: i16,
    pub visit_no: i16,
    pub points: i32,
    pub name: Option<String>,
    pub path: Option<String>,
    pub product_id: Option<String>,
    pub order_id: Option<String>,
    pub label: Option<String>,
    pub quantity: Option<i32>,
    pub amount: Option<i32>,
    pub value: Option<Decimal>,
    pub currency: Option<String>,
    pub props: Option<serde_json::Value>,
}

/// A session's first events, in the order they happened.
///
/// # Errors
/// The database's.
pub async fn actions(
    db: impl PgExecutor<'_>,
    site_id: i32,
    visitor_id: Uuid,
    session_id: Uuid,
    limit: i64,
) -> sqlx::Result<Vec<Action>> {
    sqlx::query_as!(
        Action,
        "select event_id, occurred_at, action, visit_no, points, name, path, product_id, order_id, label, quantity, amount, value,
            currency, props
        from events where site_id = $1 and visitor_id = $2 and session_id = $3
        order by occurred_at, event_id limit $4",
        site_id,
        visitor_id,
        session_id,
        limit,
    )
    .fetch_all(db)
    .await
}

/// A visit.
#[derive(Debug)]
pub struct Visit {
    /// Its number, as its events tell it.
    pub visit_no: i16,
    /// Its first event, UTC.
    pub started_at: DateTime<Utc>,
    /// Its last event, UTC.
    pub ended_at: DateTime<Utc>,
}

/// A session's visits, in order. Where one begins, its events tell; those of an import, where most tell nothing, begin one after 30 idle
/// minutes too. What the shop's backend does hours later is no visit, unless there is nothing else.
///
/// # Errors
/// The database's.
pub async fn visits(
    db: impl PgExecutor<'_>,
    site_id: i32,
    visitor_id: Uuid,
    session_id: Uuid,
) -> sqlx::Result<Vec<Visit>> {
    sqlx::query_as!(
        Visit,
        r#"with e as (
            select occurred_at, event_id, visit_no, origin, origin = $4 as by_server, bool_and(origin = $4) over () as all_by_server
            from events where site_id = $1 and visitor_id = $2 and session_id = $3),
        told as (
            select occurred_at, event_id, visit_no,
                max(visit_no) over earlier as known_no, origin = $5 and occurred_at - lag(occurred_at) over w >= $6 as is_return
            from e where all_by_server or not by_server
            window w as (order by occurred_at, event_id), earlier as (w rows between unbounded preceding and 1 preceding)),
        numbered as (
            select occurred_at, visit_no, count(*) filter (where known_no is null or visit_no > known_no or is_return)
                over (order by occurred_at, event_id) as nth
            from told)
        select max(visit_no) as "visit_no!", min(occurred_at) as "started_at!", max(occurred_at) as "ended_at!"
        from numbered group by nth order by nth"#,
        site_id,
        visitor_id,
        session_id,
        Origin::Server.code(),
        Origin::Import.code(),
        PgInterval::try_from(TimeDelta::milliseconds(VISIT_IDLE_MS)).unwrap_or_default(),
    )
    .fetch_all(db)
    .await
}

/// An order of a session.
#[derive(Debug)]
#[expect(missing_docs, reason = "columns of the table orders, where they are described")]
pub struct Order {
    pub order_id: String,
    pub order_number: Option<String>,
    pub link_method: Option<String>,
    pub currency: String,
    pub total: Decimal,
    pub refunded: Decimal,
    pub revenue: Option<Decimal>,
    pub payment_status: String,
    pub created_at: DateTime<Utc>,
    pub paid_at: Option<DateTime<Utc>>,
}

/// A session's orders, oldest first.
///
/// # Errors
/// The database's.
pub async fn orders(db: impl PgExecutor<'_>, site_id: i32, session_id: Uuid) -> sqlx::Result<Vec<Order>> {
    sqlx::query_as!(
        Order,
        "select order_id, order_number, link_method, currency, total, refunded, revenue, payment_status, created_at, paid_at
        from orders where site_id = $1 and session_id = $2 order by created_at, order_id limit 1000",
        site_id,
        session_id,
    )
    .fetch_all(db)
    .await
}

/// Another session of the same visitor.
#[derive(Debug)]
#[expect(missing_docs, reason = "columns of the table sessions, where they are described")]
pub struct Touch {
    pub session_id: Uuid,
    pub first_seen: DateTime<Utc>,
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub channel: Option<String>,
    pub orders: i32,
    pub revenue: Decimal,
}

/// The visitor's sessions but this one, oldest first: the newest of those before, and the oldest of those after, at most `limit` each.
///
/// # Errors
/// The database's.
pub async fn touches(
    db: impl PgExecutor<'_>,
    site_id: i32,
    visitor_id: Uuid,
    session_id: Uuid,
    first_seen: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Touch>> {
    sqlx::query_as!(
        Touch,
        r#"select session_id as "session_id!", first_seen as "first_seen!", utm_source, utm_medium, utm_campaign, channel,
            orders as "orders!", revenue as "revenue!"
        from (
            (select session_id, first_seen, utm_source, utm_medium, utm_campaign, channel, orders, revenue from sessions
                where site_id = $1 and visitor_id = $2 and (first_seen, session_id) < ($4, $3)
                order by first_seen desc, session_id desc limit $5)
            union all
            (select session_id, first_seen, utm_source, utm_medium, utm_campaign, channel, orders, revenue from sessions
                where site_id = $1 and visitor_id = $2 and (first_seen, session_id) > ($4, $3)
                order by first_seen, session_id limit $5)
        ) t order by first_seen, session_id"#,
        site_id,
        visitor_id,
        session_id,
        first_seen,
        limit,
    )
    .fetch_all(db)
    .await
}
