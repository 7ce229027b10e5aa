//! Table `orders`, and the money columns of `sessions` that are sums over it.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// A row, all columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the migrations say what each column means")]
pub struct OrderRow {
    pub site_id: i32,
    pub order_id: String,
    pub order_number: Option<String>,
    pub visitor_id: Option<Uuid>,
    pub session_id: Option<Uuid>,
    pub link_method: Option<String>,
    pub unlinked_cause: Option<String>,
    pub named_session_id: Option<Uuid>,
    pub named_visitor_id: Option<Uuid>,
    pub named_at: Value,
    #[serde(serialize_with = "bytea_or_null")]
    pub customer_hash: Option<Vec<u8>>,
    #[serde(serialize_with = "bytea_or_null")]
    pub email_hash: Option<Vec<u8>>,
    #[serde(serialize_with = "bytea_or_null")]
    pub phone_hash: Option<Vec<u8>>,
    pub customer_contact: Option<Value>,
    #[serde(serialize_with = "bytea")]
    pub content_hash: Vec<u8>,
    pub currency: String,
    pub rate: Option<Decimal>,
    pub rate_given: bool,
    pub total: Decimal,
    pub discount: Decimal,
    pub tax: Decimal,
    pub shipping: Decimal,
    pub refunded: Decimal,
    pub revenue: Option<Decimal>,
    pub payment_method: Option<String>,
    pub payment_status: String,
    pub sales_channel: Option<String>,
    pub items: Option<Value>,
    pub extra: Option<Value>,
    pub created_at: DateTime<Utc>,
    pub paid_at: Option<DateTime<Utc>>,
    pub refunded_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
    pub recheck_at: Option<DateTime<Utc>>,
    pub session_first_seen: Option<DateTime<Utc>>,
    pub bot_reason: Option<i16>,
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub utm_content: Option<String>,
    pub utm_term: Option<String>,
    pub channel: Option<String>,
    pub country: Option<String>,
    pub city: Option<String>,
    pub device_type: Option<String>,
    pub browser_name: Option<String>,
    pub os_name: Option<String>,
    pub landing_path: Option<String>,
}

fn bytea<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("\\x{}", crate::secret::hex(bytes)))
}

fn bytea_or_null<S: serde::Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => bytea(bytes, serializer),
        None => serializer.serialize_none(),
    }
}

/// The rows of these orders, locked until the transaction ends, in the order of their ids.
pub async fn lock(conn: &mut PgConnection, site_id: i32, ids: &[String]) -> sqlx::Result<Vec<OrderRow>> {
    sqlx::query_as!(
        OrderRow,
        "select site_id, order_id, order_number, visitor_id, session_id, link_method, unlinked_cause, named_session_id, named_visitor_id,
            named_at, customer_hash, email_hash, phone_hash, customer_contact, content_hash, currency, rate, rate_given, total, discount,
            tax, shipping, refunded, revenue, payment_method, payment_status, sales_channel, items, extra, created_at, paid_at, refunded_at,
            updated_at, received_at, recheck_at, session_first_seen, bot_reason, utm_source, utm_medium, utm_campaign, utm_content,
            utm_term, channel, country, city, device_type, browser_name, os_name, landing_path
        from orders where site_id = $1 and order_id = any($2) order by order_id for update",
        site_id,
        ids
    )
    .fetch_all(conn)
    .await
}

/// One order.
pub async fn get(db: impl PgExecutor<'_>, site_id: i32, id: &str) -> sqlx::Result<Option<OrderRow>> {
    sqlx::query_as!(
        OrderRow,
        "select site_id, order_id, order_number, visitor_id, session_id, link_method, unlinked_cause, named_session_id, named_visitor_id,
            named_at, customer_hash, email_hash, phone_hash, customer_contact, content_hash, currency, rate, rate_given, total, discount,
            tax, shipping, refunded, revenue, payment_method, payment_status, sales_channel, items, extra, created_at, paid_at, refunded_at,
            updated_at, received_at, recheck_at, session_first_seen, bot_reason, utm_source, utm_medium, utm_campaign, utm_content,
            utm_term, channel, country, city, device_type, browser_name, os_name, landing_path
        from orders where site_id = $1 and order_id = $2",
        site_id,
        id
    )
    .fetch_optional(db)
    .await
}

/// Writes whole rows, sorted by id, and answers which were written. With `overwrite` an existing row is replaced; without, it stays
/// as it is and is missing from the answer: another transaction made it first.
pub async fn write(conn: &mut PgConnection, rows: &[&OrderRow], overwrite: bool) -> sqlx::Result<u64> {
    // One JSON parameter in place of fifty arrays; numbers travel as text, so nothing passes through a float.
    let written = sqlx::query_scalar!(
        r#"insert into orders (site_id, order_id, order_number, visitor_id, session_id, link_method, unlinked_cause, named_session_id,
            named_visitor_id, named_at, customer_hash, email_hash, phone_hash, customer_contact, content_hash, currency, rate, rate_given,
            total, discount, tax, shipping, refunded, revenue, payment_method, payment_status, sales_channel, items, extra, created_at,
            paid_at, refunded_at, updated_at, received_at, recheck_at, session_first_seen, bot_reason, utm_source, utm_medium,
            utm_campaign, utm_content, utm_term, channel, country, city, device_type, browser_name, os_name, landing_path)
        select site_id, order_id, order_number, visitor_id, session_id, link_method, unlinked_cause, named_session_id,
            named_visitor_id, named_at, customer_hash, email_hash, phone_hash, customer_contact, content_hash, currency, rate, rate_given,
            total, discount, tax, shipping, refunded, revenue, payment_method, payment_status, sales_channel, items, extra, created_at,
            paid_at, refunded_at, updated_at, received_at, recheck_at, session_first_seen, bot_reason, utm_source, utm_medium,
            utm_campaign, utm_content, utm_term, channel, country, city, device_type, browser_name, os_name, landing_path
        from json_populate_recordset(null::orders, $1::json) order by order_id
        on conflict (site_id, order_id) do update set
            order_number = excluded.order_number, visitor_id = excluded.visitor_id, session_id = excluded.session_id,
            link_method = excluded.link_method, unlinked_cause = excluded.unlinked_cause, named_session_id = excluded.named_session_id,
            named_visitor_id = excluded.named_visitor_id, named_at = excluded.named_at, customer_hash = excluded.customer_hash,
            email_hash = excluded.email_hash, phone_hash = excluded.phone_hash, customer_contact = excluded.customer_contact,
            content_hash = excluded.content_hash, currency = excluded.currency, rate = excluded.rate, rate_given = excluded.rate_given,
            total = excluded.total, discount = excluded.discount, tax = excluded.tax, shipping = excluded.shipping,
            refunded = excluded.refunded, revenue = excluded.revenue, payment_method = excluded.payment_method,
            payment_status = excluded.payment_status, sales_channel = excluded.sales_channel, items = excluded.items,
            extra = excluded.extra, created_at = excluded.created_at, paid_at = excluded.paid_at, refunded_at = excluded.refunded_at,
            updated_at = excluded.updated_at, recheck_at = excluded.recheck_at, session_first_seen = excluded.session_first_seen,
            bot_reason = excluded.bot_reason, utm_source = excluded.utm_source, utm_medium = excluded.utm_medium,
            utm_campaign = excluded.utm_campaign, utm_content = excluded.utm_content, utm_term = excluded.utm_term,
            channel = excluded.channel, country = excluded.country, city = excluded.city, device_type = excluded.device_type,
            browser_name = excluded.browser_name, os_name = excluded.os_name, landing_path = excluded.landing_path
        where $2
        returning order_id"#,
        Json(rows) as _,
        overwrite
    )
    .fetch_all(conn)
    .await?;
    Ok(written.len() as u64)
}

/// Orders whose link is to be looked at again by now.
pub async fn due(db: impl PgExecutor<'_>, site_id: i32, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select order_id from orders where site_id = $1 and recheck_at <= $2 order by recheck_at limit $3",
        site_id,
        now,
        limit
    )
    .fetch_all(db)
    .await
}

/// Sets when these orders are looked at again.
pub async fn set_recheck(
    conn: &mut PgConnection,
    site_id: i32,
    ids: &[String],
    at: &[Option<DateTime<Utc>>],
) -> sqlx::Result<()> {
    sqlx::query!(
        "update orders o set recheck_at = k.at from unnest($2::text[], $3::timestamptz[]) as k(order_id, at)
        where o.site_id = $1 and o.order_id = k.order_id",
        site_id,
        ids,
        at as &[Option<DateTime<Utc>>]
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Has every order of the site looked at again: history came in that it may belong to.
pub async fn wake_all(db: impl PgExecutor<'_>, site_id: i32, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update orders set recheck_at = $2 where site_id = $1
        and (named_session_id is not null or named_visitor_id is not null or customer_hash is not null or email_hash is not null
            or phone_hash is not null)",
        site_id,
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Has every order valued anew after the site counts in another currency: rates that came with orders were in units of the old one.
/// Answers how many.
///
/// # Errors
/// The database's.
pub async fn revalue_all(db: impl PgExecutor<'_>, site_id: i32, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "update orders set recheck_at = $2, rate_given = false where site_id = $1",
        site_id,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Has the orders looked at again that take their day's rate, after days begin at another moment. Answers how many.
///
/// # Errors
/// The database's.
pub async fn wake_by_day(
    db: impl PgExecutor<'_>,
    site_id: i32,
    currency: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "update orders set recheck_at = $3 where site_id = $1 and currency <> $2 and not rate_given",
        site_id,
        currency,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Has the orders looked at again that take a rate of their day and were placed between these times. Answers how many.
pub async fn wake_following_rate(
    db: impl PgExecutor<'_>,
    site_id: i32,
    currency: &str,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "update orders set recheck_at = $5 where site_id = $1 and currency = $2 and not rate_given and created_at >= $3 and created_at < $4",
        site_id,
        currency,
        from,
        to,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Orders of one currency without a rate.
#[derive(Debug)]
pub struct WithoutRate {
    /// ISO 4217.
    pub currency: String,
    /// How many.
    pub orders: i64,
    /// When the first was placed, UTC.
    pub first: DateTime<Utc>,
    /// When the last was placed, UTC.
    pub last: DateTime<Utc>,
}

/// A site's orders without a rate, by currency.
///
/// # Errors
/// The database's.
pub async fn without_rate(db: impl PgExecutor<'_>, site_id: i32) -> sqlx::Result<Vec<WithoutRate>> {
    sqlx::query_as!(
        WithoutRate,
        r#"select currency, count(*) as "orders!", min(created_at) as "first!", max(created_at) as "last!" from orders
        where site_id = $1 and rate is null group by currency order by currency"#,
        site_id
    )
    .fetch_all(db)
    .await
}

/// Takes the lock of the one process that looks at a site's orders again, until the transaction ends; false when another has it.
pub async fn try_lock_refresh(db: impl PgExecutor<'_>, site_id: i32) -> sqlx::Result<bool> {
    // A class of locks that nobody else uses ("rc" in the upper half).
    let class = 0x7263_0000;
    sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock($1, $2) as "locked!""#,
        class,
        site_id
    )
    .fetch_one(db)
    .await
}

/// What a session's orders come to.
#[derive(Debug)]
pub struct SessionMoney {
    /// With `session_id` the session's key.
    pub visitor_id: Uuid,
    /// See `visitor_id`.
    pub session_id: Uuid,
    /// Orders of any status.
    pub orders: i32,
    /// Prepaid ones.
    pub lead_orders: i32,
    /// Paid and partially refunded ones.
    pub paid_orders: i32,
    /// Those of them without a rate.
    pub unvalued_orders: i32,
    /// In the site's currency; orders without a rate are left out.
    pub revenue: Decimal,
    /// Whether the session is there.
    pub here: bool,
}

/// Takes the locks under which these sessions' sums are made, until the transaction ends. Who erases sessions holds them too: an order
/// that was linked to one meanwhile finds it gone.
///
/// A row lock would not do: a sum in the same statement may be older than the lock it waited for, and several rows cannot be locked
/// at once on a distributed table. 1,024 locks a site keep the lock table small.
pub async fn lock_sums(conn: &mut PgConnection, site_id: i32, sessions: &[Uuid]) -> sqlx::Result<()> {
    let mut slots: Vec<i32> = sessions.iter().map(|id| (id.as_u128() % 1_024) as i32).collect();
    slots.sort_unstable();
    slots.dedup();
    // Below: a class of locks that nobody else uses ("or" in the upper half).
    let class = 0x6f72_0000 | (site_id & 0xffff);
    sqlx::query!(
        "select pg_advisory_xact_lock($1, slot) from (select slot from unnest($2::integer[]) as s(slot) order by slot) as sorted",
        class,
        &slots
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// Sums by session. More than a column of money holds is taken for that much: orders of absurd amounts must not keep others out.
pub async fn session_money(
    conn: &mut PgConnection,
    site_id: i32,
    sessions: &[Uuid],
) -> sqlx::Result<Vec<SessionMoney>> {
    sqlx::query_as!(
        SessionMoney,
        r#"select visitor_id as "visitor_id!", session_id as "session_id!", count(*)::integer as "orders!",
            (count(*) filter (where payment_status = 'prepaid'))::integer as "lead_orders!",
            (count(*) filter (where payment_status in ('paid', 'partially_refunded')))::integer as "paid_orders!",
            (count(*) filter (where payment_status in ('paid', 'partially_refunded') and revenue is null))::integer as "unvalued_orders!",
            least(coalesce(sum(revenue), 0), 99999999999999.9999) as "revenue!",
            exists (select 1 from sessions s where s.site_id = $1 and s.visitor_id = orders.visitor_id and s.session_id = orders.session_id)
                as "here!"
        from orders where site_id = $1 and session_id = any($2) and visitor_id is not null group by visitor_id, session_id"#,
        site_id,
        sessions
    )
    .fetch_all(conn)
    .await
}

/// Writes the sums onto the sessions, and answers of which they changed, with when each began; `money` is sorted by key.
pub async fn set_session_money(
    conn: &mut PgConnection,
    site_id: i32,
    money: &[SessionMoney],
) -> sqlx::Result<Vec<(Uuid, DateTime<Utc>)>> {
    let visitors: Vec<Uuid> = money.iter().map(|row| row.visitor_id).collect();
    let sessions: Vec<Uuid> = money.iter().map(|row| row.session_id).collect();
    let orders: Vec<i32> = money.iter().map(|row| row.orders).collect();
    let leads: Vec<i32> = money.iter().map(|row| row.lead_orders).collect();
    let paid: Vec<i32> = money.iter().map(|row| row.paid_orders).collect();
    let unvalued: Vec<i32> = money.iter().map(|row| row.unvalued_orders).collect();
    let revenue: Vec<Decimal> = money.iter().map(|row| row.revenue).collect();
    let changed = sqlx::query!(
        "update sessions s set orders = k.orders, lead_orders = k.leads, paid_orders = k.paid, unvalued_orders = k.unvalued, revenue = k.revenue
        from unnest($2::uuid[], $3::uuid[], $4::integer[], $5::integer[], $6::integer[], $7::integer[], $8::numeric[])
            as k(visitor_id, session_id, orders, leads, paid, unvalued, revenue)
        where s.site_id = $1 and s.visitor_id = k.visitor_id and s.session_id = k.session_id
            and (s.orders, s.lead_orders, s.paid_orders, s.unvalued_orders, s.revenue)
                is distinct from (k.orders, k.leads, k.paid, k.unvalued, k.revenue)
        returning s.visitor_id, s.first_seen",
        site_id,
        &visitors,
        &sessions,
        &orders,
        &leads,
        &paid,
        &unvalued,
        &revenue
    )
    .fetch_all(conn)
    .await?;
    Ok(changed
        .into_iter()
        .map(|row| (row.visitor_id, row.first_seen))
        .collect())
}

/// What an order takes from a session.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the columns of sessions")]
pub struct SessionTouch {
    pub visitor_id: Uuid,
    pub session_id: Uuid,
    pub first_seen: DateTime<Utc>,
    pub last_seen: DateTime<Utc>,
    pub bot_reason: Option<i16>,
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub utm_content: Option<String>,
    pub utm_term: Option<String>,
    pub channel: Option<String>,
    pub country: Option<String>,
    pub city: Option<String>,
    pub device_type: Option<String>,
    pub browser_name: Option<String>,
    pub os_name: Option<String>,
    pub landing_path: Option<String>,
}

/// Sessions with these ids.
pub async fn sessions_by_id(conn: &mut PgConnection, site_id: i32, ids: &[Uuid]) -> sqlx::Result<Vec<SessionTouch>> {
    sqlx::query_as!(
        SessionTouch,
        "select visitor_id, session_id, first_seen, last_seen, bot_reason, utm_source, utm_medium, utm_campaign, utm_content, utm_term,
            channel, country, city, device_type, browser_name, os_name, landing_path
        from sessions where site_id = $1 and session_id = any($2)",
        site_id,
        ids
    )
    .fetch_all(conn)
    .await
}

/// These visitors' sessions that were alive between two times.
pub async fn sessions_of_visitors(
    conn: &mut PgConnection,
    site_id: i32,
    visitors: &[Uuid],
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<Vec<SessionTouch>> {
    sqlx::query_as!(
        SessionTouch,
        "select visitor_id, session_id, first_seen, last_seen, bot_reason, utm_source, utm_medium, utm_campaign, utm_content, utm_term,
            channel, country, city, device_type, browser_name, os_name, landing_path
        from sessions where site_id = $1 and visitor_id = any($2) and last_seen >= $3 and first_seen <= $4",
        site_id,
        visitors,
        from,
        to
    )
    .fetch_all(conn)
    .await
}
