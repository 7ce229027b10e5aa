//! What is kept of one person, over the tables that hold it.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::orders::identity::ContactKind;
use crate::orders::linking::LinkMethod;

/// What an order says of who ordered.
#[derive(Debug)]
#[expect(missing_docs, reason = "columns of the table orders, where they are described")]
pub struct OrderOf {
    pub order_id: String,
    pub visitor_id: Option<Uuid>,
    pub named_visitor_id: Option<Uuid>,
    pub link_method: Option<String>,
    pub customer_hash: Option<Vec<u8>>,
    pub email_hash: Option<Vec<u8>>,
    pub phone_hash: Option<Vec<u8>>,
}

impl OrderOf {
    /// Hashes of the contacts on it.
    pub fn contacts(&self) -> impl Iterator<Item = &Vec<u8>> {
        [&self.customer_hash, &self.email_hash, &self.phone_hash]
            .into_iter()
            .flatten()
    }

    /// The contact by which it found its visitor, if by one.
    pub fn linked_by(&self) -> Option<&Vec<u8>> {
        match self.link_method.as_deref().and_then(LinkMethod::contact) {
            Some(ContactKind::Customer) => self.customer_hash.as_ref(),
            Some(ContactKind::Email) => self.email_hash.as_ref(),
            Some(ContactKind::Phone) => self.phone_hash.as_ref(),
            None => None,
        }
    }
}

/// Orders of these visitors, or with one of these contacts. Reads all orders of the site: people ask for this seldom.
///
/// # Errors
/// The database's.
pub async fn orders(
    db: impl PgExecutor<'_>,
    site_id: i32,
    visitors: &[Uuid],
    contacts: &[Vec<u8>],
) -> sqlx::Result<Vec<OrderOf>> {
    sqlx::query_as!(
        OrderOf,
        "select order_id, visitor_id, named_visitor_id, link_method, customer_hash, email_hash, phone_hash from orders
         where site_id = $1 and (visitor_id = any($2) or named_visitor_id = any($2) or customer_hash = any($3) or email_hash = any($3)
             or phone_hash = any($3))",
        site_id,
        visitors,
        contacts,
    )
    .fetch_all(db)
    .await
}

/// Visitors that one of these contacts was seen with.
///
/// # Errors
/// The database's.
pub async fn visitors(db: impl PgExecutor<'_>, site_id: i32, contacts: &[Vec<u8>]) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "select distinct visitor_id from visitor_contacts where site_id = $1 and contact_hash = any($2)",
        site_id,
        contacts,
    )
    .fetch_all(db)
    .await
}

/// How many of these visitors were seen with a contact that is not among these.
///
/// # Errors
/// The database's.
pub async fn count_shared(
    db: impl PgExecutor<'_>,
    site_id: i32,
    visitors: &[Uuid],
    contacts: &[Vec<u8>],
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(distinct visitor_id) as "count!" from visitor_contacts
           where site_id = $1 and visitor_id = any($2) and not contact_hash = any($3)"#,
        site_id,
        visitors,
        contacts,
    )
    .fetch_one(db)
    .await
}

/// Ids of these visitors' sessions.
///
/// # Errors
/// The database's.
pub async fn sessions(db: impl PgExecutor<'_>, site_id: i32, visitors: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "select session_id from sessions where site_id = $1 and visitor_id = any($2)",
        site_id,
        visitors,
    )
    .fetch_all(db)
    .await
}

/// How many events there are of these visitors.
///
/// # Errors
/// The database's.
pub async fn count_events(db: impl PgExecutor<'_>, site_id: i32, visitors: &[Uuid]) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from events where site_id = $1 and visitor_id = any($2)"#,
        site_id,
        visitors,
    )
    .fetch_one(db)
    .await
}

/// Deletes the events of these visitors whose session is gone; how many.
///
/// # Errors
/// The database's.
pub async fn delete_events(db: impl PgExecutor<'_>, site_id: i32, visitors: &[Uuid]) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "delete from events e where e.site_id = $1 and e.visitor_id = any($2) and not exists (
           select 1 from sessions s where s.site_id = e.site_id and s.visitor_id = e.visitor_id and s.session_id = e.session_id)",
        site_id,
        visitors,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// What is still needed of a deleted session.
#[derive(Debug)]
pub struct DeletedSession {
    /// Whose.
    pub visitor_id: Uuid,
    /// Tells which sums it was part of.
    pub first_seen: DateTime<Utc>,
    /// Its raw user agent, which others may share.
    pub ua_hash: Option<i64>,
}

/// Deletes these sessions of these visitors.
///
/// # Errors
/// The database's.
pub async fn delete_sessions(
    db: impl PgExecutor<'_>,
    site_id: i32,
    visitors: &[Uuid],
    sessions: &[Uuid],
) -> sqlx::Result<Vec<DeletedSession>> {
    sqlx::query_as!(
        DeletedSession,
        "delete from sessions where site_id = $1 and visitor_id = any($2) and session_id = any($3) returning visitor_id, first_seen, ua_hash",
        site_id,
        visitors,
        sessions,
    )
    .fetch_all(db)
    .await
}

/// Forgets which contacts these visitors were seen with, and these contacts altogether.
///
/// # Errors
/// The database's.
pub async fn delete_contacts(
    db: impl PgExecutor<'_>,
    site_id: i32,
    visitors: &[Uuid],
    contacts: &[Vec<u8>],
) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from visitor_contacts where site_id = $1 and (visitor_id = any($2) or contact_hash = any($3))",
        site_id,
        visitors,
        contacts,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes those of these raw user agents that no session has any more. Reads all sessions.
///
/// # Errors
/// The database's.
pub async fn delete_unused_user_agents(db: impl PgExecutor<'_>, hashes: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from user_agents u where u.ua_hash = any($1) and not exists (select 1 from sessions s where s.ua_hash = u.ua_hash)",
        hashes,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whole sessions of these visitors, with the raw user agent.
///
/// # Errors
/// The database's.
pub async fn session_rows(db: impl PgExecutor<'_>, site_id: i32, visitors: &[Uuid]) -> sqlx::Result<Vec<Value>> {
    sqlx::query_scalar!(
        r#"select to_jsonb(s) || jsonb_build_object('user_agent', (select u.user_agent from user_agents u where u.ua_hash = s.ua_hash)) as "row!"
           from sessions s where s.site_id = $1 and s.visitor_id = any($2) order by s.first_seen"#,
        site_id,
        visitors,
    )
    .fetch_all(db)
    .await
}

/// Whole events of these visitors.
///
/// # Errors
/// The database's.
pub async fn event_rows(db: impl PgExecutor<'_>, site_id: i32, visitors: &[Uuid]) -> sqlx::Result<Vec<Value>> {
    sqlx::query_scalar!(
        r#"select to_jsonb(e) as "row!" from events e where e.site_id = $1 and e.visitor_id = any($2) order by e.occurred_at"#,
        site_id,
        visitors,
    )
    .fetch_all(db)
    .await
}

/// Whole orders.
///
/// # Errors
/// The database's.
pub async fn order_rows(db: impl PgExecutor<'_>, site_id: i32, orders: &[String]) -> sqlx::Result<Vec<Value>> {
    sqlx::query_scalar!(
        r#"select to_jsonb(o) as "row!" from orders o where o.site_id = $1 and o.order_id = any($2) order by o.created_at"#,
        site_id,
        orders,
    )
    .fetch_all(db)
    .await
}

/// Whole rows of which contact was seen with which visitor.
///
/// # Errors
/// The database's.
pub async fn contact_rows(
    db: impl PgExecutor<'_>,
    site_id: i32,
    visitors: &[Uuid],
    contacts: &[Vec<u8>],
) -> sqlx::Result<Vec<Value>> {
    sqlx::query_scalar!(
        r#"select to_jsonb(c) as "row!" from visitor_contacts c
           where c.site_id = $1 and (c.visitor_id = any($2) or c.contact_hash = any($3)) order by c.last_seen"#,
        site_id,
        visitors,
        contacts,
    )
    .fetch_all(db)
    .await
}

/// Other people's orders that these contacts referred, sorted.
///
/// # Errors
/// The database's.
pub async fn referred(db: impl PgExecutor<'_>, site_id: i32, contacts_hex: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select order_id from orders where site_id = $1 and extra ->> 'referred_by' = any($2) order by order_id",
        site_id,
        contacts_hex,
    )
    .fetch_all(db)
    .await
}

/// Takes these contacts out of other people's orders that they referred; answers which orders.
///
/// # Errors
/// The database's.
pub async fn forget_referrer(
    db: impl PgExecutor<'_>,
    site_id: i32,
    contacts_hex: &[String],
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "update orders set extra = extra - 'referred_by' || jsonb_build_object('revenue_stream', coalesce(extra ->> 'revenue_stream', 'referral'))
         where site_id = $1 and extra ->> 'referred_by' = any($2) returning order_id",
        site_id,
        contacts_hex,
    )
    .fetch_all(db)
    .await
}
